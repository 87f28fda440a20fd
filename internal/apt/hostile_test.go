package apt_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/fault"
)

const (
	inRelease = "dists/stable/InRelease"
	portal    = "<!DOCTYPE html><html><body>Please log in</body></html>"
)

// hostile is an upstream that is wrong after a good cycle and heals later.
type hostile struct {
	name   string
	before func(*stage) // the good cycle
	attack func(*stage)
	kind   fault.Kind
	text   string // that the note must contain
	after  func(*testing.T, *stage)
	heal   func(*stage) // before the good edition is published
}

// published lets change the files of the next good edition.
func published(change func(files map[string][]byte)) func(*stage) {
	return func(s *stage) {
		s.publish(next)
		s.edit(change)
	}
}

// signed lets change the next edition's InRelease.
func signed(change func(string) string) func(*stage) {
	return published(func(files map[string][]byte) { files[inRelease] = []byte(change(string(files[inRelease]))) })
}

// named publishes one more package under a path of upstream's choice.
func named(filename string) func(*stage) {
	return func(s *stage) {
		s.forge(forged{plain: append(stanza(deb("a", "1"), nil), stanza(deb("c", "1"), func(p *debrepo.Package) { p.Filename = filename })...)})
		s.edit(func(files map[string][]byte) { files[strings.TrimPrefix(filename, "/")] = deb("c", "1").Bytes() })
	}
}

// object lets change the package that is new in the next edition; nil removes it.
func object(change func([]byte) []byte) func(*stage) {
	const c = "pool/main/c/c/c_1_amd64.deb"
	return published(func(files map[string][]byte) {
		if data := change(files[c]); data != nil {
			files[c] = data
		} else {
			delete(files, c)
		}
	})
}

// release publishes the next edition with another Release.
func release(change func(*debrepo.Release)) func(*stage) {
	return func(s *stage) {
		s.forge(forged{plain: stanza(deb("a", "1"), nil), release: change})
	}
}

// answer makes upstream answer every path that matches with a status and a body.
func answer(match func(path string) bool, status int, body string) func(*stage) {
	return func(s *stage) {
		s.publish(next)
		s.u.mu.Lock()
		defer s.u.mu.Unlock()
		s.u.alter = func(w http.ResponseWriter, r *http.Request) bool {
			if !match(r.URL.Path) {
				return false
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
}

func isIndex(path string) bool { return strings.Contains(path, "/binary-amd64/") }
func isAny(string) bool        { return true }

// bomb serves an index that unpacks to far more than Release declares.
func bomb(form string) func(*stage) {
	return func(s *stage) {
		plain := append(stanza(deb("a", "1"), nil), bytes.Repeat([]byte("\n"), 8<<20)...)
		s.forge(forged{plain: plain, release: func(r *debrepo.Release) {
			var keep []debrepo.File
			for _, f := range r.Files {
				if f.Path == "main/binary-amd64/Packages" {
					f.Size = 1 << 10
				}
				if f.Path == "main/binary-amd64/Packages" || strings.HasSuffix(f.Path, form) {
					keep = append(keep, f)
				}
			}
			r.Files = keep
		}})
	}
}

// plant puts a link into the tree where the next package will lie.
func plant(name, target string) func(*stage) {
	return func(s *stage) {
		s.publish(next)
		full := filepath.Join(s.b.Dir, "tree", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Symlink(target, full); err != nil {
			s.t.Fatal(err)
		}
	}
}

func unplant(name string) func(*stage) {
	return func(s *stage) {
		if err := os.Remove(filepath.Join(s.b.Dir, "tree", name)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func hostiles() []hostile {
	const c, cdeb = "pool/main/c", "pool/main/c/c/c_1_amd64.deb"
	return []hostile{
		// Signatures.
		{name: "signed by another key", kind: fault.Unproved, text: inRelease,
			attack: func(s *stage) {
				s.forge(forged{plain: stanza(deb("a", "1"), nil), keys: []*openpgp.Entity{debrepotest.NewKey("other")}})
			}},
		{name: "not signed", kind: fault.Unproved, text: inRelease,
			attack: published(func(files map[string][]byte) { files[inRelease] = files["dists/stable/Release"] })},
		{name: "no signature anywhere", kind: fault.Gone, text: "Release.gpg",
			attack: published(func(files map[string][]byte) { delete(files, inRelease); delete(files, "dists/stable/Release.gpg") })},
		{name: "data before the signed block", kind: fault.Unproved, text: inRelease,
			attack: signed(func(text string) string { return "Suite: evil\n" + text })},
		{name: "data after the signed block", kind: fault.Unproved, text: "data after the signed block",
			attack: signed(func(text string) string { return text + "SHA256:\n" })},
		{name: "second signed block", kind: fault.Unproved, text: inRelease,
			attack: signed(func(text string) string { return text + text })},
		{name: "tampered text", kind: fault.Unproved, text: inRelease,
			attack: signed(func(text string) string { return strings.Replace(text, "Suite: stable", "Suite: stabel", 1) })},
		{name: "Release.gpg of another Release", kind: fault.Unproved, text: "dists/stable/Release.gpg",
			attack: func(s *stage) {
				s.old = s.u.files
				s.publish(next)
				s.edit(func(files map[string][]byte) {
					delete(files, inRelease)
					files["dists/stable/Release.gpg"] = s.old["dists/stable/Release.gpg"]
				})
			}},
		{name: "cut short", kind: fault.Unproved, text: "cut short",
			attack: signed(func(text string) string { return text[:len(text)*2/3] })},
		{name: "captive portal in place of InRelease", kind: fault.Unproved, text: "captive portal",
			attack: answer(func(p string) bool { return strings.HasSuffix(p, "InRelease") }, 200, portal)},
		{name: "captive portal in place of everything", kind: fault.Unproved, text: "captive portal", attack: answer(isAny, 200, portal)},

		// Dates.
		{name: "Valid-Until has passed", kind: fault.Stale, text: "Valid-Until",
			attack: release(func(r *debrepo.Release) { r.ValidUntil = time.Now().Add(-time.Minute) })},
		{name: "replay of an older Release", kind: fault.Stale, text: "mirrored already",
			before: func(s *stage) {
				s.publish(good)
				s.old = s.u.files
				s.publish(good)
			},
			attack: func(s *stage) { s.edit(func(files map[string][]byte) { files[inRelease] = s.old[inRelease] }) }},
		{name: "Date in the future", kind: fault.Stale, text: "in the future",
			attack: release(func(r *debrepo.Release) { r.Date = time.Now().Add(time.Hour) })},
		{name: "no Date", kind: fault.Stale, text: "no Date",
			attack: func(s *stage) {
				s.forge(forged{plain: stanza(deb("a", "1"), nil), text: func(text string) string {
					before, after, _ := strings.Cut(text, "Date: ")
					_, after, _ = strings.Cut(after, "\n")
					return before + after
				}})
			}},

		// Indexes.
		{name: "captive portal in place of Packages", kind: fault.Unproved, text: "Packages.xz", attack: answer(isIndex, 200, portal),
			after: func(t *testing.T, s *stage) {
				if n := s.u.hits[inRelease]; n != 4 {
					t.Errorf("Release was fetched %d times, want 4 attempts", n)
				}
			}},
		{name: "index with another digest for ever", kind: fault.Unproved, text: "sha256 is",
			attack: published(func(files map[string][]byte) {
				indexes(files, func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b })
			}),
			after: func(t *testing.T, s *stage) {
				if n := s.u.requests(); n > 12 {
					t.Errorf("%d requests: attempts are not bounded", n)
				}
			}},
		{name: "index larger than declared", kind: fault.Unproved, text: "are declared",
			attack: published(func(files map[string][]byte) {
				indexes(files, func(b []byte) []byte { return append(bytes.Clone(b), "more"...) })
			})},
		{name: "index smaller than declared", kind: fault.Unproved, text: "are declared",
			attack: published(func(files map[string][]byte) {
				indexes(files, func(b []byte) []byte { return b[:len(b)-4] })
			})},
		{name: "index nowhere", kind: fault.Gone, text: "Packages",
			attack: published(func(files map[string][]byte) {
				for name := range files {
					if isIndex("/" + name) {
						delete(files, name)
					}
				}
			})},
		{name: "xz bomb", kind: fault.Hostile, text: "Packages.xz", attack: bomb(".xz")},
		{name: "gzip bomb", kind: fault.Hostile, text: "Packages.gz", attack: bomb(".gz")},
		{name: "damaged compression", kind: fault.Malformed, text: "Packages",
			attack: func(s *stage) {
				garbage := bytes.Repeat([]byte("garbage"), 20)
				s.forge(forged{plain: stanza(deb("a", "1"), nil), release: func(r *debrepo.Release) {
					for i, f := range r.Files {
						if f.Path != "main/binary-amd64/Packages" {
							r.Files[i] = debrepo.File{Path: f.Path, Size: int64(len(garbage)), Hashes: debrepotest.Digests(garbage)}
						}
					}
				}, files: func(files map[string][]byte) {
					for _, form := range []string{"xz", "gz"} {
						for _, p := range debrepo.ByHashPaths(debrepo.File{Path: "main/binary-amd64/Packages." + form, Hashes: debrepotest.Digests(garbage)}) {
							files["dists/stable/"+p] = garbage
						}
					}
				}})
			}},
		{name: "component that is not there", kind: fault.Config, text: `component "main"`,
			attack: release(func(r *debrepo.Release) { r.Components, r.Files = []string{"contrib"}, nil })},
		{name: "Release without strong digests", kind: fault.Unproved, text: "neither SHA256 nor SHA512",
			attack: release(func(r *debrepo.Release) {
				for i := range r.Files {
					r.Files[i].Hashes.SHA256, r.Files[i].Hashes.SHA512 = "", ""
				}
			})},
		{name: "packages without any strong digest", kind: fault.Unproved, text: "package c 1 has neither SHA256 nor SHA512, and so have all others",
			attack: func(s *stage) {
				s.forge(forged{plain: stanza(deb("c", "1"), func(p *debrepo.Package) { p.Hashes.SHA256, p.Hashes.SHA512 = "", "" })})
			}},
		{name: "one path with two contents in one suite", kind: fault.Malformed, text: "pool/main/a",
			attack: func(s *stage) {
				s.forge(forged{plain: append(stanza(deb("a", "1"), nil), stanza(deb("a", "1"), func(p *debrepo.Package) {
					p.Hashes = debrepotest.Digests([]byte("other"))
				})...)})
			}},

		// Objects.
		{name: "package with another digest", kind: fault.Unproved, text: cdeb,
			attack: object(func(b []byte) []byte { b = bytes.Clone(b); b[0] ^= 1; return b })},
		{name: "package larger than declared", kind: fault.Unproved, text: cdeb, attack: object(func(b []byte) []byte { return append(bytes.Clone(b), 'x') })},
		{name: "package cut short", kind: fault.Unproved, text: cdeb, attack: object(func(b []byte) []byte { return b[:len(b)-1] })},
		{name: "package not found", kind: fault.Gone, text: cdeb, attack: object(func([]byte) []byte { return nil })},
		{name: "captive portal in place of a package", kind: fault.Unproved, text: "captive portal",
			attack: object(func([]byte) []byte { return []byte(portal) })},

		// Paths.
		{name: "path above the tree", kind: fault.Hostile, text: "../../etc/cron.d/evil", attack: named("../../etc/cron.d/evil")},
		{name: "path above the tree inside", kind: fault.Hostile, text: "leaves the tree", attack: named("pool/../../evil.deb")},
		{name: "absolute path", kind: fault.Hostile, text: "/etc/passwd", attack: named("/etc/passwd")},
		{name: "path of our own", kind: fault.Hostile, text: ".mirror/id", attack: named(".mirror/id")},
		{name: "control character", kind: fault.Hostile, text: "control character", attack: named("pool/\x1b[2J.deb")},
		{name: "package in place of an index", kind: fault.Hostile, text: "dists/stable/main/binary-all/Packages",
			attack: named("dists/stable/main/binary-all/Packages")},
		{name: "package in place of another suite's Release", kind: fault.Hostile, text: "dists/other/InRelease", attack: named("dists/other/InRelease")},
		{name: "package in place of another suite's translations", kind: fault.Hostile, text: "among the indexes",
			attack: named("dists/other/main/i18n/Translation-en")},
		{name: "package in place of an index by hash", kind: fault.Hostile, text: "by-hash", attack: named("dists/stable/main/binary-amd64/by-hash/SHA256/0.deb")},
		{name: "package below a package", kind: fault.Malformed, text: "pool/main/a/a/a_1_amd64.deb", attack: named("pool/main/a/a/a_1_amd64.deb/c.deb")},
		{name: "link in place of a package", kind: fault.Hostile, text: cdeb, attack: plant(cdeb, "/etc/passwd"), heal: unplant(cdeb)},
		{name: "link in place of a directory", kind: fault.Hostile, text: c, attack: plant(c, "../../dists"), heal: unplant(c)},
		{name: "link that leaves the tree", kind: fault.Hostile, text: c, attack: plant(c, "/tmp"), heal: unplant(c)},
		{name: "released package with other bytes", kind: fault.Conflict, text: "pool/main/a/a/a_1_amd64.deb",
			attack: func(s *stage) {
				other := []byte("other bytes")
				s.forge(forged{plain: stanza(deb("a", "1"), func(p *debrepo.Package) {
					p.Size, p.Hashes = int64(len(other)), debrepotest.Digests(other)
				})})
				s.edit(func(files map[string][]byte) { files["pool/main/a/a/a_1_amd64.deb"] = other })
			}},

		// The whole.
		{name: "everything answers 500", kind: fault.Unavailable, text: inRelease, attack: answer(isAny, 500, "")},
		{name: "everything answers 403", kind: fault.Denied, text: inRelease, attack: answer(isAny, 403, "")},
		{name: "everything answers 404", kind: fault.Gone, text: "dists/stable", attack: answer(isAny, 404, "")},
	}
}

func TestHostile(t *testing.T) {
	for _, c := range hostiles() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			if c.before != nil {
				c.before(s)
			} else {
				s.publish(good)
			}
			if r := s.cycle(); r.Err != nil || r.Number != 1 {
				t.Fatalf("good cycle: %+v", r)
			}
			c.attack(s)
			s.u.requests()
			before := snapshot(t, s.b)
			r := s.cycle()
			refused(t, r, c.kind, c.text)
			unchanged(t, before, s.b)
			if c.after != nil {
				c.after(t, s)
			}
			s.heals(t, c.heal)
		})
	}
}

func newStage(t testing.TB, config func(*apt.Config)) *stage {
	t.Helper()
	s := &stage{archive: newArchive(t), b: enginetest.New(t, "debian")}
	s.engine = s.archive.engine(s.b, config)
	return s
}

func (s *stage) cycle() enginetest.Result { return s.b.Cycle(s.engine) }

// heals checks that nothing of the bad time is left once upstream is good again.
func (s *stage) heals(t *testing.T, heal func(*stage)) {
	t.Helper()
	if heal != nil {
		heal(s)
	}
	s.u.mu.Lock()
	s.u.alter = nil
	s.u.mu.Unlock()
	s.publish(next)
	r := s.cycle()
	if r.Err != nil || r.Number == 0 || len(r.Notes) != 0 {
		t.Fatalf("upstream has healed, yet: %+v", r)
	}
	if diff := cmp.Diff([]string{"a_1_amd64.deb", "b_1_amd64.deb", "c_1_amd64.deb"}, pool(s.b.Files())); diff != "" {
		t.Error(diff)
	}
}
