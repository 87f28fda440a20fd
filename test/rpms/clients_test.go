package rpms_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
)

// TestClients has dnf 4, dnf5 and zypper install what is special about rpms from
// a region, through a drop, a purge and a region that is away. Regions that are
// away, strangers' keys and holes must fail.
func TestClients(t *testing.T) {
	w := newWorld(t)
	w.publish("1.0")
	here, there := w.regions[0], w.regions[1]
	url := func(r *region) string { return r.server.URL + "/rpms/os" }
	fresh, old := map[string]*client{}, map[string]*client{}
	each := func(name string, do func(t *testing.T, kind string)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			for _, kind := range kinds {
				t.Run(kind, func(t *testing.T) {
					fresh[kind].t, old[kind].t = t, t
					do(t, kind)
				})
			}
		})
	}
	for _, kind := range kinds {
		fresh[kind], old[kind] = w.newClient(t, kind, w.keyring, url(here)), w.newClient(t, kind, w.keyring, url(here))
	}
	each("everything special", func(t *testing.T, kind string) {
		c := fresh[kind]
		c.must("install", "alpha", "gamma++", "libx")
		c.holds("alpha", "alpha 1.0")
		c.holds("gamma++", "gamma++ 1.0^git1")
		c.holds("libx", "libx 1.0")
		if words[kind]["group"] != nil {
			c.must(c.word("group")...)
		} else {
			c.must("install", "beta")
		}
		c.holds("beta", "beta 2.0~rc1")
		if words[kind]["module"] != nil {
			c.must(c.word("module")...)
			c.must("install", "mod")
			c.holds("mod", "mod 4.0")
		}
		old[kind].must(old[kind].word("refresh")...)
	})
	w.publish("1.2")
	each("after a drop", func(t *testing.T, kind string) {
		old[kind].must(old[kind].word("cached", "alpha")...)
		old[kind].holds("alpha", "alpha 1.0")
		if out := fresh[kind].must(fresh[kind].word("updates")...); !strings.Contains(out, "TEST-2026") {
			t.Errorf("no update notice:\n%s", out)
		}
		if words[kind]["expire"] != nil {
			fresh[kind].must(fresh[kind].word("expire")...)
		}
		fresh[kind].must(fresh[kind].word("upgrade")...)
		fresh[kind].holds("alpha", "alpha 1.2")
	})
	for _, r := range w.regions {
		if _, err := w.backend(r, time.Nanosecond).Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	each("after a purge", func(t *testing.T, kind string) {
		c := w.newClient(t, kind, w.keyring, url(here))
		c.must("install", "alpha", "beta")
		c.holds("alpha", "alpha 1.2")
	})
	stranger := filepath.Join(t.TempDir(), "stranger.asc")
	w.put(stranger, debrepotest.ArmoredKeys(debrepotest.NewKey("stranger")))
	each("keys of a stranger", func(t *testing.T, kind string) {
		w.newClient(t, kind, stranger, url(here)).refused("install", "alpha")
	})
	here.server.Close()
	each("one region down", func(t *testing.T, kind string) {
		w.newClient(t, kind, w.keyring, url(here)).refused("install", "alpha")
		urls := []string{url(here), url(there)}
		if kind == "zypper" { // it looks at the first only
			urls = urls[1:]
		}
		c := w.newClient(t, kind, w.keyring, urls...)
		c.must("install", "alpha")
		c.holds("alpha", "alpha 1.2")
	})
	if err := os.Remove(filepath.Join(there.dir, "rpms/os/Packages/alpha-1.2-1.noarch.rpm")); err != nil {
		t.Fatal(err)
	}
	each("a hole", func(t *testing.T, kind string) {
		w.newClient(t, kind, w.keyring, url(there)).refused("install", "alpha")
	})
}
