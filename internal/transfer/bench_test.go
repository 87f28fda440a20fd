package transfer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
)

// BenchmarkSmallObjects fetches objects of 2 KB, each in a directory of its own,
// as a pool of packages has them.
func BenchmarkSmallObjects(b *testing.B) {
	const n = 20000
	body := func(name string) []byte { return []byte(strings.Repeat(name+"\n", 2048/(len(name)+1))) }
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(body(r.URL.Path[1:]))
	}))
	defer srv.Close()
	client, err := fetch.New(fetch.Options{Downloads: 32, PerHost: 32})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for b.Loop() {
		dir := b.TempDir()
		cfg := tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
		if _, err := tree.Setup(cfg, "bench"); err != nil {
			b.Fatal(err)
		}
		t, err := tree.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		w, err := t.NewPlan(nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			name := fmt.Sprintf("pool/main/p%02d/package%05d/package%05d_1_amd64.deb", i%26, i, i)
			data := body(name)
			sum := sha256.Sum256(data)
			if err := w.Fetch(tree.Item{Path: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}); err != nil {
				b.Fatal(err)
			}
		}
		w.Info().Changed = true
		digest, _, err := w.Finish()
		if err != nil {
			b.Fatal(err)
		}
		p, err := t.OpenPlan(digest)
		if err != nil {
			b.Fatal(err)
		}
		for shard := range p.Info.Shards {
			if _, err := transfer.Run(context.Background(), t, p, shard, transfer.Options{Client: client, Upstreams: []string{srv.URL}, Workers: 32}); err != nil {
				b.Fatal(err)
			}
		}
		t.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/object")
}
