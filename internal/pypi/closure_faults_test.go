package pypi_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
)

// TestFailuresLoseNothing lets pages and files fail for a while.
func TestFailuresLoseNothing(t *testing.T) {
	for _, c := range []struct{ name, path string }{
		{"a page in the middle", "simple/lib/"}, {"metadata", "app-2-py3-none-any.whl"}, {"a source distribution", "turbo-1.0.tar.gz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWish(t, "app==2\n", nil)
			w.publish()
			fail := func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, c.path) {
					rw.WriteHeader(503)
					return true
				}
				return false
			}
			w.setAlter(fail)
			if r := w.cycle(); r.Number != 1 || len(r.Notes) == 0 {
				t.Fatalf("what can be had is: %+v", r)
			}
			w.setAlter(nil)
			w.cycle()
			w.want(t, "app-2-py3-none-any.whl", "builder-3-py3-none-any.whl", "lib-2-py3-none-any.whl", "runtime-7-py3-none-any.whl", "runtime-7.tar.gz", "turbo-1.0.tar.gz")
			w.setAlter(fail)
			for name, p := range w.projects { // everything moved, and one thing fails
				w.set(name, p.Files...)
			}
			w.cycle()
			w.forget(t) // and nothing is remembered either
			w.cycle()
			if n := len(w.mirrored()); n != 6 {
				t.Errorf("%d files are left: %v", n, w.mirrored())
			}
			w.setAlter(nil)
			w.cycle()
			w.want(t, "app-2-py3-none-any.whl", "builder-3-py3-none-any.whl", "lib-2-py3-none-any.whl", "runtime-7-py3-none-any.whl", "runtime-7.tar.gz", "turbo-1.0.tar.gz")
		})
	}
}

// TestVersionsStayWhileAskersAreUnknown: builder is wanted in one version by the
// file and in another by a project that cannot be reached just now.
func TestVersionsStayWhileAskersAreUnknown(t *testing.T) {
	w := newWish(t, "app==2\nbuilder===1\n", nil)
	w.publish()
	w.mustCycle(t)
	w.forget(t)
	w.set("builder", append(w.projects["builder"].Files, w.wheel("builder", "5"))...)
	answer("simple/lib/", 503, "", "")(w.stage)
	if r := w.cycle(); r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := w.links("builder"); len(got) != 2 || got[0] != "builder-1-py3-none-any.whl" || got[1] != "builder-3-py3-none-any.whl" {
		t.Error("what somebody may ask for was taken away:", got)
	}
	w.setAlter(nil)
	w.mustCycle(t)
	if got := w.links("builder"); len(got) != 2 || got[1] != "builder-5-py3-none-any.whl" {
		t.Error("it did not heal:", got)
	}
}

func (w *wish) forget(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(w.b.Dir, "state", "memo", "requirements")); err != nil {
		t.Fatal(err)
	}
}

func TestLostMemoIsLearnedAgain(t *testing.T) {
	w := newWish(t, "app==2\n", nil)
	w.publish()
	w.mustCycle(t)
	w.forget(t)
	if r := w.cycle(); r.Digest != "" || r.Err != nil {
		t.Errorf("%+v", r)
	}
	w.requests("")
	if r := w.cycle(); r.Digest != "" || w.requests("") != 1 {
		t.Errorf("%+v", r)
	}
}

func TestRequirementsThatCannotBeRead(t *testing.T) {
	w := newWish(t, "app==2\n", nil)
	w.publish()
	w.mustCycle(t)
	for _, text := range []string{"<!DOCTYPE html>\n<p>\n</p>\n", "\x00"} {
		w.write(text)
		if r := w.cycle(); r.Digest != "" || !errors.Is(r.Err, fault.Malformed) || len(w.mirrored()) != 6 {
			t.Errorf("%+v", r)
		}
	}
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	if r := w.cycle(); r.Digest != "" || !errors.Is(r.Err, fault.Config) || len(w.mirrored()) != 6 {
		t.Errorf("%+v", r)
	}
}
