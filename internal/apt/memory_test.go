package apt_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/tree"
)

// BenchmarkFirstPlan plans a suite of 63,000 packages and reports the most heap
// that was in use at once, in megabytes: it must stay well below 150.
func BenchmarkFirstPlan(b *testing.B) {
	const n = 63000
	var plain bytes.Buffer
	for i := range n {
		name := fmt.Sprintf("package%05d", i)
		p := debrepo.Package{Name: name, Version: "1.0-1", Architecture: "amd64", Size: 2048,
			Filename: fmt.Sprintf("pool/main/p/%s/%s_1.0-1_amd64.deb", name, name), Hashes: debrepo.Hashes{SHA256: fmt.Sprintf("%064x", i)}}
		err := debrepo.WritePackage(&plain, p, debrepo.Field{Name: "Depends", Value: strings.Repeat("libsomething (>= 1.0), ", 20)},
			debrepo.Field{Name: "Description", Value: strings.Repeat("words ", 30)})
		if err != nil {
			b.Fatal(err)
		}
	}
	s := newStage(b, nil)
	s.forge(forged{plain: plain.Bytes()})
	plain = bytes.Buffer{}
	peak := 0.0
	for b.Loop() {
		dir := b.TempDir()
		cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
		if _, err := tree.Setup(cfg, "m"); err != nil {
			b.Fatal(err)
		}
		tr, err := tree.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		before := heap()
		stop, done := make(chan bool), make(chan float64)
		go watch(stop, done)
		digest, info, err := s.engine.Plan(context.Background(), tr)
		close(stop)
		if err != nil || digest == "" || info.Adds != n {
			b.Fatalf("%+v, %v", info, err)
		}
		peak = max(peak, <-done-before)
		tr.Close()
	}
	b.ReportMetric(peak/1e6, "MB-peak")
}

func heap() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}

// watch samples the heap until stop is closed.
func watch(stop <-chan bool, done chan<- float64) {
	top := 0.0
	for {
		select {
		case <-stop:
			done <- top
			return
		default:
			top = max(top, heap())
			runtime.Gosched()
		}
	}
}
