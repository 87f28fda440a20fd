package apt_test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
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

// TestIndexIsLostOnce: an index that was there goes only if two cycles say so.
func TestIndexIsLostOnce(t *testing.T) {
	const contents = "dists/stable/main/Contents-amd64"
	for name, back := range map[string]bool{"and is back": true, "for good": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			publish := func(packages ...debrepotest.Package) {
				s.publish(map[string][]debrepotest.Package{"stable": packages})
				var plain bytes.Buffer
				for _, p := range packages {
					plain.Write(stanza(p, nil))
				}
				text := []byte("usr/bin/a a\n")
				s.forge(forged{plain: plain.Bytes(), release: func(r *debrepo.Release) {
					r.Files = append(r.Files, debrepo.File{Path: "main/Contents-amd64", Size: int64(len(text)), Hashes: debrepotest.Digests(text)})
				}, files: func(files map[string][]byte) { files[contents] = text }})
			}
			publish(deb("a", "1"))
			s.mustCycle(t)
			publish(deb("a", "2"))
			// The same content under the same digest would be had from the state.
			s.forge(forged{plain: stanza(deb("a", "2"), nil), release: func(r *debrepo.Release) {
				text := []byte("usr/bin/a b\n")
				r.Files = append(r.Files, debrepo.File{Path: "main/Contents-amd64", Size: int64(len(text)), Hashes: debrepotest.Digests(text)})
			}})
			before := snapshot(t, s.b)
			r := s.cycle()
			if r.Number != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Error, "it is listed, it was there before, and now it is not") {
				t.Fatalf("first answer: %+v", r)
			}
			unchanged(t, before, s.b)
			if back {
				s.edit(func(files map[string][]byte) { files[contents] = []byte("usr/bin/a b\n") })
				s.mustCycle(t)
				if s.b.Read(contents) != "usr/bin/a b\n" {
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
