package flips_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorcycle/internal/need"
)

// installs returns how often real dnf installs in each way: a few times, or as
// often as promised with MIRRORCYCLE_LONG=1 (about ten minutes).
func installs() int64 {
	if os.Getenv("MIRRORCYCLE_LONG") == "1" {
		return yumFlips
	}
	return 4
}

// TestDnfStraddlingFlips has real dnf install from a region that flips after
// every fourth answer, so that installs have flips at all of their requests.
func TestDnfStraddlingFlips(t *testing.T) {
	for _, tool := range []string{"dnf", "rpm"} {
		_, err := exec.LookPath(tool)
		need.That(t, err == nil, tool)
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			p := newPublisher(t, w)
			p.publish(t, 0)
			front := newFront(t, p)
			var failed, apart, done atomic.Int64
			var first atomic.Value
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for done.Add(1) <= installs() {
						out, err := p.dnf(t, front)
						for try := 0; err != nil && p.isApart(out) && try < 5; try++ { // as clients are told to
							apart.Add(1)
							out, err = p.dnf(t, front)
						}
						if err != nil {
							failed.Add(1)
							first.CompareAndSwap(nil, out)
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%d flips, %d installs by dnf, %d failed, %d tried again: %s", p.n, installs(), failed.Load(), apart.Load(), w.apart)
			switch {
			case w.mustRun && installs() == yumFlips && failed.Load() == 0:
				t.Error("no install failed, so the harness sees nothing")
			case !w.mustRun && failed.Load() > 0:
				t.Errorf("%d installs failed, the first:\n%s", failed.Load(), first.Load())
			}
		})
	}
}

// newFront stands before the region and flips it between two answers.
func newFront(t *testing.T, p *publisher) string {
	t.Helper()
	region, err := url.Parse(p.region)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: region.Scheme, Host: region.Host})
	var requests, edition atomic.Int64
	var flipping sync.Mutex
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		if requests.Add(1)%4 == 0 {
			flipping.Lock()
			defer flipping.Unlock()
			p.publish(t, int(edition.Add(1)))
		}
	}))
	t.Cleanup(front.Close)
	return front.URL + region.Path
}

// isApart reports whether dnf failed as no layout prevents.
func (p *publisher) isApart(out string) bool {
	return p.signed && strings.Contains(out, "GPG") || p.simple && strings.Contains(out, "checksum")
}

// dnf installs into an empty root. It ends at the latest after two minutes.
func (p *publisher) dnf(t *testing.T, url string) (string, error) {
	dir, err := os.MkdirTemp(t.TempDir(), "dnf")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	checks := "gpgcheck=1\n"
	if p.signed {
		checks += "repo_gpgcheck=1\n"
	}
	conf, root := filepath.Join(dir, "dnf.conf"), filepath.Join(dir, "root")
	text := "[main]\nplugins=0\nreposdir=/nonexistent\n[rpms]\nname=rpms\nbaseurl=" + url + "\nskip_if_unavailable=0\n" + checks + "gpgkey=file://" + p.keys + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(t.Context(), "dnf", "-y", "--config", conf, "--installroot", root, "--releasever=9",
		fmt.Sprintf("--setopt=cachedir=%s/cache", root), "install", "alpha", "beta", "gamma")
	cmd.WaitDelay = 2 * time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}
