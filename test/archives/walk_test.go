package archives_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/mirrorspec"
)

// flaky serves an archive of apt-ftparchive, and answers one request wrongly.
type flaky struct {
	mu    sync.Mutex
	now   map[string][]byte
	older map[string][]byte
	asked []string // paths in the order in which they came, once each
	at    string   // the path whose next answer is wrong
	wrong func(w http.ResponseWriter, f *flaky, p string)
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := strings.TrimPrefix(r.URL.Path, "/")
	if !slices.Contains(f.asked, p) {
		f.asked = append(f.asked, p)
	}
	if p == f.at && f.wrong != nil {
		wrong := f.wrong
		f.wrong = nil
		wrong(w, f, p)
		return
	}
	data, ok := f.now[p]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", debrepotest.Digests(data).MD5))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (f *flaky) set(now, older map[string][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now, f.older, f.asked, f.at, f.wrong = now, older, nil, "", nil
}

// wrongs are the ways to answer one request wrongly.
var wrongs = map[string]func(w http.ResponseWriter, f *flaky, p string){
	"404": func(w http.ResponseWriter, _ *flaky, _ string) { w.WriteHeader(http.StatusNotFound) },
	"500": func(w http.ResponseWriter, _ *flaky, _ string) { w.WriteHeader(http.StatusInternalServerError) },
	"an empty body": func(w http.ResponseWriter, _ *flaky, _ string) {
		w.Header().Set("Content-Length", "0")
	},
	"a truncated body": func(w http.ResponseWriter, f *flaky, p string) {
		data := f.now[p]
		_, _ = w.Write(data[:len(data)/2]) // the client sees what it gets
	},
	"an older body": func(w http.ResponseWriter, f *flaky, p string) {
		_, _ = w.Write(f.older[p])
	},
	"HTML": func(w http.ResponseWriter, _ *flaky, _ string) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><html><body>Please log in</body></html>"))
	},
}

// edition reads all files of the archive.
func (m *maker) edition() map[string][]byte {
	m.t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(m.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(m.dir, p)
		if err == nil {
			out[rel], err = os.ReadFile(p)
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// TestEachRequestWrongOnce answers each request of a cycle once by each kind of
// wrong answer. Clients see the old or the new state, and apt-get update gets
// all of it; one calm cycle later everything is there.
func TestEachRequestWrongOnce(t *testing.T) {
	m := newMaker(t, "apt-ftparchive", "dpkg-source")
	m.deb("pool/main", "alpha", "1", "amd64")
	m.source("pool/main", "alpha", "1")
	m.ftparchive()
	first := m.edition()
	m.deb("pool/main", "alpha", "2", "amd64")
	m.source("pool/main", "alpha", "2")
	m.ftparchive()
	second := m.edition()
	maps.DeleteFunc(second, func(p string, _ []byte) bool { return strings.Contains(p, "alpha_1") })
	f := &flaky{}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	spec := mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}, Indexes: []string{"all", "sources"}}
	const release, detached = "dists/stable/InRelease", "dists/stable/Release"

	// What a calm cycle asks for, and comes to.
	f.set(first, nil)
	calm := m.newMirror(spec, server.URL)
	calm.cycle(t)
	f.set(second, first)
	calm.cycle(t)
	requests, want := f.asked, snapshot(calm)
	if len(requests) < 10 {
		t.Fatalf("only %d requests: %v", len(requests), requests)
	}
	for name, wrong := range wrongs {
		t.Run(name, func(t *testing.T) {
			mine := *m
			mine.t = t
			for _, at := range requests {
				f.set(first, nil)
				mirror := mine.newMirror(spec, server.URL)
				if r := mirror.b.Cycle(mirror.e); r.Number != 1 {
					t.Fatalf("a good cycle: %+v", r)
				}
				f.set(second, first)
				f.mu.Lock()
				f.at, f.wrong = at, wrong
				f.mu.Unlock()
				r := mirror.b.Cycle(mirror.e) // it fails the test if what it commits does not verify
				version := "1"
				switch got := snapshot(mirror); {
				case got[release] == digest(first[release]):
				case got[release] == digest(second[release]), got[detached] == digest(second[detached]):
					version = "2"
				default:
					t.Fatalf("%s: a Release of neither edition", at)
				}
				if !maps.Equal(snapshot(mirror), want) {
					mirror.release(t)
					machine := newClient(t, mirror.file(t, mirror.url, ".sources"))
					machine.asks()
					machine.update()
					machine.gets("alpha", version)
				}
				calm := mirror.b.Cycle(mirror.e)
				if got := snapshot(mirror); calm.Err != nil || len(calm.Notes) != 0 || !maps.Equal(got, want) {
					t.Errorf("%s: then %+v; a calm cycle later %+v: %d files of %d", at, r.Notes, calm, len(got), len(want))
				}
			}
		})
	}
}

// snapshot digests every file that the mirror's clients can ask for.
func snapshot(m *mirror) map[string]string {
	out := map[string]string{}
	for _, p := range m.b.Files() {
		out[p] = digest([]byte(m.b.Read(p)))
	}
	return out
}

func digest(data []byte) string { return debrepotest.Digests(data).SHA256 }
