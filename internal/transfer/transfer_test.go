package transfer_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
)

// house is an empty tree, and an upstream that counts what it is asked for.
type house struct {
	t      *testing.T
	tree   *tree.Tree
	cfg    tree.Config
	client *fetch.Client
	url    string

	mu    sync.Mutex
	files map[string]string
	hits  map[string]int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, files: map[string]string{}, hits: map[string]int{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	h.url = srv.URL
	dir := t.TempDir()
	h.cfg = tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state")}
	if _, err := tree.Setup(h.cfg, "mirror"); err != nil {
		t.Fatal(err)
	}
	h.open()
	var err error
	h.client, err = fetch.New(fetch.Options{Attempts: 1, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} },
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err == nil {
		err = h.client.Own(h.url)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.Close)
	return h
}

// open takes the tree, as another run.
func (h *house) open() {
	h.t.Helper()
	tr, err := tree.Open(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { tr.Close() })
	h.tree = tr
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hits[r.URL.Path[1:]]++
	data, ok := h.files[r.URL.Path[1:]]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(data))
}

// item is an object of upstream's with that content.
func (h *house) item(path, content string) tree.Item {
	h.files[path] = content
	return tree.Item{Path: path, Size: int64(len(content)), SHA256: digest(content), Unit: "unit"}
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func (h *house) plan(items ...tree.Item) *tree.Plan {
	h.t.Helper()
	w, err := h.tree.NewPlan(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	w.Info().Changed = true
	for _, it := range items {
		if err := w.Fetch(it); err != nil {
			h.t.Fatal(err)
		}
	}
	digest, _, err := w.Finish()
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := h.tree.OpenPlan(digest)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) run(ctx context.Context, p *tree.Plan) ([]tree.Result, error) {
	return transfer.Run(ctx, h.tree, p, 0, transfer.Options{Client: h.client, Upstreams: []string{h.url}, Workers: 2})
}

func (h *house) mustRun(items ...tree.Item) []tree.Result {
	h.t.Helper()
	p := h.plan(items...)
	results, err := h.run(context.Background(), p)
	if err != nil {
		h.t.Fatal(err)
	}
	var recorded []tree.Result
	for r, err := range p.Results(0) {
		if err != nil {
			h.t.Fatal(err)
		}
		recorded = append(recorded, r)
	}
	if diff := cmp.Diff(results, recorded); diff != "" {
		h.t.Errorf("recorded is something else: %s", diff)
	}
	return results
}

func (h *house) write(path, content string) {
	h.t.Helper()
	name := filepath.Join(h.tree.Dir(), path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) read(path string) string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.tree.Dir(), path))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

func TestRun(t *testing.T) {
	tests := []struct {
		name   string
		item   func(*house) tree.Item
		want   tree.Result // Path, SHA256 and Unit are filled in
		errors string
		hits   int
	}{
		{name: "downloaded", item: func(h *house) tree.Item { return h.item("pool/a", "content") },
			want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "downloaded from where it says", item: func(h *house) tree.Item {
			it := h.item("pool/b", "content")
			it.Source = h.url + "/pool/b"
			it.Path = "pool/a"
			delete(h.files, "pool/a")
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}},
		{name: "size unknown", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			it.Size = -1
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "size unknown, and there already", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			h.write("pool/a", "content")
			it.Size = -1
			return it
		}, want: tree.Result{Size: 7}},
		{name: "there already", item: func(h *house) tree.Item {
			h.write("pool/a", "content")
			return h.item("pool/a", "content")
		}, want: tree.Result{Size: 7}},
		{name: "there with other bytes", item: func(h *house) tree.Item {
			h.write("pool/a", "CONTENT")
			return h.item("pool/a", "content")
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "there with another size", item: func(h *house) tree.Item {
			h.write("pool/a", "cont")
			return h.item("pool/a", "content")
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "kept in the state", item: func(h *house) tree.Item {
			if _, err := h.tree.PutIndex([]byte("content")); err != nil {
				h.t.Fatal(err)
			}
			it := h.item("pool/a", "content")
			it.Kept = true
			return it
		}, want: tree.Result{Size: 7}},
		{name: "kept in the state, and damaged there", item: func(h *house) tree.Item {
			if _, err := h.tree.PutIndex([]byte("content")); err != nil {
				h.t.Fatal(err)
			}
			hex := digest("content")
			if err := os.WriteFile(filepath.Join(h.tree.State(), "index", hex[:2], hex), []byte("CONTENT"), 0o644); err != nil {
				h.t.Fatal(err)
			}
			it := h.item("pool/a", "content")
			it.Kept = true
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "kept, and not there any more", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			it.Kept = true
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "proved by SHA-512", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			sum := sha512.Sum512([]byte("content"))
			it.SHA256, it.SHA512 = "", hex.EncodeToString(sum[:])
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "there, not proved by SHA-512", item: func(h *house) tree.Item {
			h.write("pool/a", "CONTENT")
			it := h.item("pool/a", "content")
			sum := sha512.Sum512([]byte("content"))
			it.SHA512 = hex.EncodeToString(sum[:])
			return it
		}, want: tree.Result{Size: 7, Bytes: 7}, hits: 1},
		{name: "not found", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			delete(h.files, "pool/a")
			return it
		}, want: tree.Result{Kind: "gone"}, errors: "/pool/a", hits: 1},
		{name: "wrong bytes", item: func(h *house) tree.Item {
			it := h.item("pool/a", "content")
			h.files["pool/a"] = "CONTENT"
			return it
		}, want: tree.Result{Kind: "unproved"}, errors: "sha256", hits: 1},
		{name: "a link lies there", item: func(h *house) tree.Item {
			h.write("pool/b", "content")
			if err := os.Symlink("b", filepath.Join(h.tree.Dir(), "pool/a")); err != nil {
				h.t.Fatal(err)
			}
			return h.item("pool/a", "content")
		}, want: tree.Result{Kind: "hostile"}, errors: "pool/a"},
		{name: "a directory lies there", item: func(h *house) tree.Item {
			h.write("pool/a/b", "content")
			return h.item("pool/a", "content")
		}, want: tree.Result{Kind: "hostile"}, errors: "pool/a"},
		{name: "a file lies where a directory belongs", item: func(h *house) tree.Item {
			h.write("pool/x", "content")
			return h.item("pool/x/a", "content")
		}, want: tree.Result{Kind: "hostile"}, errors: "pool/x"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			it := c.item(h)
			other := h.item("pool/z", "another")
			got := h.mustRun(it, other)
			if len(got) != 2 || got[1].Error != "" || h.read("pool/z") != "another" {
				t.Fatalf("the other object must be had: %+v", got)
			}
			if c.errors != "" {
				if !strings.Contains(got[0].Error, c.errors) || !strings.Contains(got[0].Error, "; ") {
					t.Errorf("want %q and advice in %q", c.errors, got[0].Error)
				}
				got[0].Error = ""
			} else {
				c.want.SHA256 = digest("content")
				if h.read(it.Path) != "content" {
					t.Errorf("got %q", h.read(it.Path))
				}
			}
			c.want.Path, c.want.Unit = it.Path, "unit"
			if diff := cmp.Diff(c.want, got[0]); diff != "" {
				t.Error(diff)
			}
			if h.hits["pool/a"] != c.hits {
				t.Errorf("%d requests, want %d", h.hits["pool/a"], c.hits)
			}
		})
	}
}

func TestRunTwiceFetchesOnce(t *testing.T) {
	h := newHouse(t)
	p := h.plan(h.item("pool/a", "content"), tree.Item{Path: "pool/gone", Size: 1, SHA256: digest("x")})
	first, err := h.run(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.run(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || h.hits["pool/a"] != 1 || h.hits["pool/gone"] != 1 {
		t.Errorf("%s, requests %v", diff, h.hits)
	}
	if err := p.Redo(); err != nil {
		t.Fatal(err)
	}
	h.files["pool/gone"] = "x"
	if again, err = h.run(context.Background(), p); err != nil || again[1].Error != "" || h.hits["pool/a"] != 1 {
		t.Errorf("%+v, %v, requests %v", again, err, h.hits)
	}
}

func TestCancelled(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(context.Background())
	var items []tree.Item
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		items = append(items, h.item("pool/"+name, name))
	}
	p := h.plan(items...)
	_, err := transfer.Run(ctx, h.tree, p, 0, transfer.Options{Client: h.client, Upstreams: []string{h.url}, Workers: 1,
		Progress: func(objects, _ int64) {
			if objects == 2 {
				cancel()
			}
		}})
	if !errors.Is(err, context.Canceled) || p.IsDone(0) {
		t.Fatalf("error %v, done %v", err, p.IsDone(0))
	}
	if results, err := h.run(context.Background(), p); err != nil || len(results) != 8 || h.hits["pool/a"] != 1 {
		t.Errorf("want to go on where it stopped: %v, %v, requests %v", results, err, h.hits)
	}
}

// TestFenced lets another run take the tree over.
func TestFenced(t *testing.T) {
	h := newHouse(t)
	p := h.plan(h.item("pool/a", "content"))
	other, err := tree.Open(tree.Config{Dir: h.tree.Dir(), State: h.tree.State()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := h.run(context.Background(), p); !errors.Is(err, fault.Fenced) {
		t.Errorf("got %v", err)
	}
}

func zipped(members ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err == nil {
			_, err = w.Write([]byte(members[i+1]))
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestMetadataOfALongName: a wheel whose name leaves no room for the suffix is had without.
func TestMetadataOfALongName(t *testing.T) {
	h := newHouse(t)
	it := h.item("packages/"+strings.Repeat("a", 246)+".whl", string(zipped("a-1.dist-info/METADATA", "Name: a\n")))
	it.Metadata = true
	if got := h.mustRun(it); len(got) != 1 || got[0].Error != "" || got[0].Size != it.Size {
		t.Errorf("%+v", got)
	}
}

func TestMetadata(t *testing.T) {
	tests := []struct {
		name  string
		wheel []byte
		want  string // "" if none is laid down
	}{
		{"plain", zipped("a/__init__.py", "", "a-1.dist-info/METADATA", "Name: a\n"), "Name: a\n"},
		{"deeper ones do not count", zipped("a-1.dist-info/METADATA", "Name: a\n", "a/b-1.dist-info/METADATA", "Name: b\n"), "Name: a\n"},
		{"two", zipped("a-1.dist-info/METADATA", "Name: a\n", "b-1.dist-info/METADATA", "Name: b\n"), ""},
		{"none", zipped("a/__init__.py", ""), ""},
		{"bomb", zipped("a-1.dist-info/METADATA", strings.Repeat("a", 16<<20+1)), ""},
		{"no zip", []byte("PK no zip"), ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			it := h.item("packages/a.whl", string(c.wheel))
			it.Metadata = true
			got := h.mustRun(it)
			if got[0].Path != it.Path || got[0].Error != "" {
				t.Fatalf("%+v", got)
			}
			if c.want == "" {
				if _, there, err := h.tree.Stat(it.Path + ".metadata"); len(got) != 1 || there || err != nil {
					t.Errorf("want no metadata: %+v, %v", got, err)
				}
				return
			}
			want := tree.Result{Path: it.Path + ".metadata", Size: int64(len(c.want)), SHA256: digest(c.want), Unit: "unit", Derived: true}
			if diff := cmp.Diff([]tree.Result{want}, got[1:]); diff != "" || h.read(want.Path) != c.want {
				t.Error(diff, h.read(want.Path))
			}
		})
	}
}

// TestUnreadableFileIsFetchedAgain: a disk that gives EIO for what an earlier
// attempt left does not stop the next one.
func TestUnreadableFileIsFetchedAgain(t *testing.T) {
	need.Unreadable(t, func(spoil func(string)) {
		h := newHouse(t)
		h.write("pool/a", "")
		spoil(filepath.Join(h.tree.Dir(), "pool/a"))
		p := h.plan(h.item("pool/a", ""))
		_, err := h.run(context.Background(), p)
		// Nothing can be renamed over a mount: so far it must come.
		if err == nil || !strings.Contains(err.Error(), "land pool/a: "+syscall.EBUSY.Error()) || h.hits["pool/a"] != 1 {
			t.Errorf("%v, asked for %v", err, h.hits)
		}
	})
}
