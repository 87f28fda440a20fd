package apt_test

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/tree"
)

const packagesXZ = "dists/stable/main/binary-amd64/Packages.xz"

// isXZ tells requests for the .xz form of an edition's Packages.
func isXZ(files map[string][]byte) func(string) bool {
	want := debrepotest.Digests(files[packagesXZ]).SHA256
	return func(p string) bool { return p == packagesXZ || strings.HasSuffix(p, want) }
}

// hide makes upstream answer with status for what match tells.
func (s *stage) hide(match func(string) bool, status int) {
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	s.u.alter = nil
	if match == nil {
		return
	}
	s.u.alter = func(w http.ResponseWriter, r *http.Request) bool {
		if !match(strings.TrimPrefix(r.URL.Path, "/")) {
			return false
		}
		w.WriteHeader(status)
		return true
	}
}

// TestFormIsAskedForAgain: a form that Release lists and that is 404 or 500 for
// one cycle comes with the next, although the Release stands still.
func TestFormIsAskedForAgain(t *testing.T) {
	for _, status := range []int{404, 500} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.publish(good)
			s.hide(isXZ(s.u.files), status)
			s.cycleTold(t, packagesXZ)
			if slices.Contains(s.b.Files(), packagesXZ) {
				t.Fatal("it is there")
			}
			s.hide(nil, 0)
			if r := s.cycle(); r.Err != nil || r.Number != 2 || len(r.Notes) != 0 {
				t.Fatalf("the next cycle: %+v", r)
			}
			if s.b.Read(packagesXZ) != string(s.u.files[packagesXZ]) {
				t.Error("another form came")
			}
			s.u.requests()
			if r := s.cycle(); r.Digest != "" || s.u.requests() != 1 {
				t.Errorf("then all is well, and one request tells: %+v", r)
			}
		})
	}
}

// TestFormThatNeverCame is asked for ever more seldom.
func TestFormThatNeverCame(t *testing.T) {
	s := newStage(t, nil)
	s.publish(good)
	s.hide(isXZ(s.u.files), 404)
	s.cycleTold(t, packagesXZ)
	asked := ""
	for range 16 {
		s.u.requests()
		quiet(t, s.cycle(), packagesXZ)
		if s.u.hits[packagesXZ] > 0 {
			asked += "x"
		} else {
			asked += "."
		}
	}
	if asked != "xx.x...x.......x" {
		t.Errorf("asked in cycles %s", asked)
	}
}

// TestBadForm: a form that does not unpack to what Release lists is left for the next one.
func TestBadForm(t *testing.T) {
	other, err := debrepotest.Compress("xz", stanza(deb("b", "9"), nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"of another text": other, "damaged": []byte("\xfd7zXZ\x00damaged"), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.publish(good)
			publish := func(data []byte) {
				s.forge(forged{plain: append(stanza(deb("a", "1"), nil), stanza(deb("b", "1"), nil)...),
					release: func(r *debrepo.Release) {
						for i := range r.Files {
							if strings.HasSuffix(r.Files[i].Path, ".xz") && data != nil {
								r.Files[i].Size, r.Files[i].Hashes = int64(len(data)), debrepotest.Digests(data)
							}
						}
					},
					files: func(files map[string][]byte) {
						if data != nil {
							for p := range files {
								if isXZ(files)(p) {
									delete(files, p)
								}
							}
							files[packagesXZ] = data
						}
					}})
			}
			publish(bad)
			s.cycleTold(t, "main/binary-amd64/Packages.xz")
			if slices.Contains(s.b.Files(), packagesXZ) || len(pool(s.b.Files())) != 2 {
				t.Errorf("%v", s.b.Files())
			}
			publish(nil)
			s.mustCycle(t)
		})
	}
}

const contents = "dists/stable/main/Contents-amd64"

// loseContents mirrors a suite with Contents and publishes an edition without it,
// which Release lists.
func (s *stage) loseContents(t *testing.T) {
	t.Helper()
	publish := func(version, text string, files func(map[string][]byte)) {
		p := deb("a", version)
		s.publish(map[string][]debrepotest.Package{"stable": {p}})
		s.forge(forged{plain: stanza(p, nil), files: files, release: func(r *debrepo.Release) {
			r.Files = append(r.Files, debrepo.File{Path: "main/Contents-amd64", Size: int64(len(text)), Hashes: debrepotest.Digests([]byte(text))})
		}})
	}
	publish("1", "usr/bin/a a\n", func(files map[string][]byte) { files[contents] = []byte("usr/bin/a a\n") })
	s.mustCycle(t)
	publish("2", newContents, nil) // the same content would be had from the state
}

const newContents = "usr/bin/a b\n"

// TestIndexIsLostOnce: an index that was there goes only if two cycles say so.
func TestIndexIsLostOnce(t *testing.T) {
	for name, back := range map[string]bool{"and is back": true, "for good": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.loseContents(t)
			before := snapshot(t, s.b)
			r := s.cycle()
			if r.Number != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Error, "it is listed, it was there before, and now it is not") {
				t.Fatalf("first answer: %+v", r)
			}
			unchanged(t, before, s.b)
			if back {
				s.edit(func(files map[string][]byte) { files[contents] = []byte(newContents) })
				s.mustCycle(t)
				if s.b.Read(contents) != newContents {
					t.Error("it is not upstream's")
				}
				return
			}
			s.cycleTold(t, contents)
			if _, there := maps.Clone(snapshot(t, s.b))[contents]; there {
				t.Error("it is still there")
			}
		})
	}
}

// TestAttemptsAreOneAnswer: a plan that was cut off and is tried again, and the
// plan of a run's next step, which has renewed its lease, confirm nothing.
func TestAttemptsAreOneAnswer(t *testing.T) {
	s := newStage(t, nil)
	s.loseContents(t)
	cfg := tree.Config{Dir: filepath.Join(s.b.Dir, "tree"), State: filepath.Join(s.b.Dir, "state"), Holder: "test", Run: "one"}
	plan := func(what string, open func() (*tree.Tree, error)) (epoch int64) {
		in, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if _, _, err := s.engine.Plan(t.Context(), in); err == nil || !strings.Contains(err.Error(), "and now it is not") {
			t.Errorf("%s: %v", what, err)
		}
		return in.Epoch()
	}
	epoch := plan("first attempt", func() (*tree.Tree, error) { return tree.Open(cfg) })
	plan("second attempt", func() (*tree.Tree, error) { return tree.Resume(cfg, epoch) })
	plan("next step", func() (*tree.Tree, error) { return tree.Renew(cfg, epoch) })
	s.cycleTold(t, contents)
}

// TestEmptyIndexIsNotServed: archives list plain indexes of size 0 and nothing else.
func TestEmptyIndexIsNotServed(t *testing.T) {
	s := newStage(t, nil)
	s.publish(good)
	s.forge(forged{plain: nil, release: func(r *debrepo.Release) {
		r.Files = slices.DeleteFunc(r.Files, func(f debrepo.File) bool { return f.Path != "main/binary-amd64/Packages" })
	}})
	s.mustCycle(t)
	if got := s.b.Read("dists/stable/main/binary-amd64/Packages"); got != "" {
		t.Errorf("%q", got)
	}
}
