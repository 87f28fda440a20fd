package transfer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
)

const (
	smallObjects = 20000
	connections  = 32
)

func smallName(i int) string {
	return fmt.Sprintf("pool/main/p%02d/package%05d/package%05d_1_amd64.deb", i%26, i/2, i)
}

func smallBody(name string) []byte { return []byte(strings.Repeat(name+"\n", 2048/(len(name)+1))) }

func serveSmall(b *testing.B) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(smallBody(r.URL.Path[1:])) }))
	b.Cleanup(srv.Close)
	return srv.URL
}

func perObject(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/smallObjects, "µs/object")
}

// BenchmarkSmallObjects fetches objects of 2 KB, two to a directory, as a pool
// of packages has them. Compare with BenchmarkBare.
func BenchmarkSmallObjects(b *testing.B) {
	url := serveSmall(b)
	client, err := fetch.New(fetch.Options{Downloads: connections, PerHost: connections})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for b.Loop() {
		b.StopTimer()
		t, p := smallPlan(b)
		b.StartTimer()
		for shard := range p.Info.Shards {
			if _, err := transfer.Run(context.Background(), t, p, shard, transfer.Options{Client: client, Upstreams: []string{url}, Workers: connections}); err != nil {
				b.Fatal(err)
			}
		}
		t.Close()
	}
	perObject(b)
}

func smallPlan(b *testing.B) (*tree.Tree, *tree.Plan) {
	b.Helper()
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
	for i := range smallObjects {
		name := smallName(i)
		data := smallBody(name)
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
	return t, p
}

// BenchmarkBare downloads the same with plain GETs: what any mirror must at least do.
func BenchmarkBare(b *testing.B) {
	url := serveSmall(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}
	defer client.CloseIdleConnections()
	for b.Loop() {
		dir := b.TempDir()
		var g errgroup.Group
		g.SetLimit(connections)
		for i := range smallObjects {
			g.Go(func() error { return bare(client, url+"/"+smallName(i), filepath.Join(dir, smallName(i))) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	perObject(b)
}

func bare(client *http.Client, url, name string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
