package apt_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/tree"
)

func tolerant(c *apt.Config) { c.Tolerate = true }

// told wants notes with these texts, in order, and each known or not.
func told(t *testing.T, notes []tree.Note, known bool, texts ...string) {
	t.Helper()
	ok := len(notes) == len(texts)
	for i := 0; ok && i < len(texts); i++ {
		ok = strings.Contains(notes[i].Error, texts[i]) && notes[i].Standing && notes[i].Known == known
	}
	if !ok {
		t.Fatalf("want notes (known: %v) with %q, got %+v", known, texts, notes)
	}
}

// quiet wants a cycle that changes nothing and tells only what is known.
func quiet(t *testing.T, r enginetest.Result, texts ...string) {
	t.Helper()
	if r.Err != nil || r.Number != 0 {
		t.Fatalf("want nothing new: %+v", r)
	}
	told(t, r.Notes, true, texts...)
}

// many are 200 packages.
func many(version string) []debrepotest.Package {
	var out []debrepotest.Package
	for i := range 200 {
		out = append(out, deb(fmt.Sprintf("p%03d", i), version))
	}
	return out
}

// TestOneOddStanza: 199 packages of 200 are served by the end of the cycle.
func TestOneOddStanza(t *testing.T) {
	for name, odd := range map[string]func(*debrepo.Package){
		"no Filename":      func(p *debrepo.Package) { p.Filename = "" },
		"no strong digest": func(p *debrepo.Package) { p.Hashes.SHA256, p.Hashes.SHA512 = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			publish := func(change func(*debrepo.Package)) {
				s.publish(map[string][]debrepotest.Package{"stable": many("1")})
				var plain bytes.Buffer
				for i, p := range many("1") {
					if i == 42 {
						plain.Write(stanza(p, change))
					} else {
						plain.Write(stanza(p, nil))
					}
				}
				s.forge(forged{plain: plain.Bytes()})
			}
			publish(odd)
			r := s.cycle()
			if r.Err != nil || r.Number != 1 || len(pool(s.b.Files())) != 199 {
				t.Fatalf("%d packages, %+v", len(pool(s.b.Files())), r)
			}
			told(t, r.Notes, false, "package p042 1 has ")
			quiet(t, s.cycle(), "package p042 1 has ")
			lacks(t, s, 0, 1, "")
			publish(nil)
			s.mustCycle(t)
			lacks(t, s, 0, 0, "")
			if n := len(pool(s.b.Files())); n != 200 {
				t.Errorf("%d packages after upstream has healed", n)
			}
		})
	}
}

// lacks checks what the mirror counts as missing and as refused, and the file that it names.
func lacks(t *testing.T, s *stage, missing, refused int64, file string) {
	t.Helper()
	l, err := apt.Lacking(s.b.Tree(), 5)
	m, r := l.Totals()
	if err != nil || m != missing || r != refused || len(l.Some) != int(missing+refused) {
		t.Errorf("%+v, %v", l, err)
	}
	for _, k := range l.Some {
		if k.File != file || k.Unit != "stable" || k.Reason == "" || k.Refused != (refused > 0) {
			t.Errorf("%+v", k)
		}
	}
}

// TestManyOddStanzas are told of in bounds, and names of upstream's move no cursor.
func TestManyOddStanzas(t *testing.T) {
	s := newStage(t, nil)
	s.publish(good)
	plain := stanza(deb("a", "1"), nil)
	for i := range 50 {
		plain = append(plain, stanza(deb(fmt.Sprintf("odd\x1b[2J%d", i), "1"), func(p *debrepo.Package) { p.Filename = "" })...)
	}
	s.forge(forged{plain: plain})
	r := s.cycle()
	if r.Err != nil || r.Number != 1 || len(r.Notes) != 21 || !strings.Contains(r.Notes[20].Error, "30 more stanzas like these") {
		t.Fatalf("%d notes, %+v", len(r.Notes), r)
	}
	for _, n := range r.Notes {
		if strings.Contains(n.Error, "\x1b") {
			t.Errorf("%q", n.Error)
		}
	}
}

// TestStrongerDigestAlone: stanzas of which some have a SHA512 and no SHA256.
func TestStrongerDigestAlone(t *testing.T) {
	s := newStage(t, nil)
	only512 := func(p *debrepo.Package) { p.Hashes = debrepo.Hashes{SHA1: p.Hashes.SHA1, SHA512: p.Hashes.SHA512} }
	s.publish(map[string][]debrepotest.Package{"stable": {deb("a", "1"), deb("b", "1"), deb("c", "1")}})
	s.forge(forged{plain: append(stanza(deb("a", "1"), only512), stanza(deb("b", "1"), nil)...)})
	s.mustCycle(t)
	if got := pool(s.b.Files()); !slices.Equal(got, []string{"a_1_amd64.deb", "b_1_amd64.deb"}) {
		t.Fatalf("%v", got)
	}
	s.u.requests()
	s.forge(forged{plain: append(stanza(deb("a", "1"), only512), stanza(deb("c", "1"), only512)...)})
	s.mustCycle(t)
	if n := s.u.hits["pool/main/a/a/a_1_amd64.deb"]; n != 0 {
		t.Errorf("what is there was fetched %d times", n)
	}
	if n := s.u.hits["pool/main/c/c/c_1_amd64.deb"]; n != 1 {
		t.Errorf("what is new was fetched %d times", n)
	}
	s.forge(forged{plain: stanza(deb("a", "1"), func(p *debrepo.Package) { p.Hashes = debrepo.Hashes{SHA512: strings.Repeat("0", 128)} })})
	if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || r.Notes[0].Kind != "unproved" {
		t.Errorf("another SHA512: %+v", r)
	}
}

// TestTolerate: with missing = "tolerate" one package that upstream lacks, has
// damaged or lists with two digests is left out, told once and looked for again.
func TestTolerate(t *testing.T) {
	const path = "pool/main/p/p042/p042_2_amd64.deb"
	for name, damage := range map[string]func(files map[string][]byte){
		"missing":    func(files map[string][]byte) { delete(files, path) },
		"other size": func(files map[string][]byte) { files[path] = []byte("short") },
		"other bytes": func(files map[string][]byte) {
			files[path] = bytes.Repeat([]byte{'x'}, len(files[path]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tolerant)
			s.publish(map[string][]debrepotest.Package{"stable": many("1")})
			s.mustCycle(t)
			s.publish(map[string][]debrepotest.Package{"stable": many("2")})
			whole := maps.Clone(s.u.files)
			s.edit(damage)
			r := s.cycle()
			if r.Err != nil || r.Number != 2 || len(pool(s.b.Files())) != 399 {
				t.Fatalf("%d packages, %+v", len(pool(s.b.Files())), r)
			}
			told(t, r.Notes, false, path+" is left out: ")
			s.u.requests()
			again := s.cycle()
			quiet(t, again, path+" is left out: ")
			if again.Info.Missing != 1 {
				t.Errorf("%d objects are told to be missing", again.Info.Missing)
			}
			lacks(t, s, 1, 0, path)
			if s.u.hits[path] == 0 {
				t.Error("it was not looked for again")
			}
			s.edit(func(files map[string][]byte) { files[path] = whole[path] })
			if r := s.cycle(); r.Err != nil || r.Number != 3 || s.b.Read(path) != string(whole[path]) {
				t.Fatalf("upstream has healed, yet: %+v", r)
			}
			if r := s.cycle(); r.Digest != "" || len(r.Notes) != 0 {
				t.Errorf("then all is well: %+v", r)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, tolerant)
		s.publish(map[string][]debrepotest.Package{"stable": many("1")})
		s.mustCycle(t)
		s.publish(map[string][]debrepotest.Package{"stable": many("2")})
		s.edit(func(files map[string][]byte) {
			maps.DeleteFunc(files, func(p string, _ []byte) bool { return strings.HasPrefix(p, "pool/main/p/p0") })
		})
		if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Error, "100 objects cannot be had, more than the 10") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("by default the suite waits", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, nil)
		s.publish(good)
		s.mustCycle(t)
		s.publish(next)
		s.edit(func(files map[string][]byte) { delete(files, "pool/main/c/c/c_1_amd64.deb") })
		if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || r.Notes[0].Standing {
			t.Errorf("%+v", r)
		}
	})
}

// TestTwoDigests: with tolerance one path that is listed twice gets what upstream serves.
func TestTwoDigests(t *testing.T) {
	other := func(p *debrepo.Package) { p.Hashes = debrepotest.Digests([]byte("other")) }
	for name, stanzas := range map[string][][]byte{
		"the right one first": {stanza(deb("a", "1"), nil), stanza(deb("a", "1"), other)},
		"the right one last":  {stanza(deb("a", "1"), other), stanza(deb("a", "1"), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tolerant)
			s.publish(good)
			s.forge(forged{plain: bytes.Join(append(stanzas, stanza(deb("b", "1"), nil)), nil)})
			r := s.cycle()
			if r.Err != nil || r.Number != 1 || s.b.Read("pool/main/a/a/a_1_amd64.deb") != string(deb("a", "1").Bytes()) {
				t.Fatalf("%+v", r)
			}
			told(t, r.Notes, false, "pool/main/a/a/a_1_amd64.deb")
			quiet(t, s.cycle(), "pool/main/a/a/a_1_amd64.deb")
		})
	}
}

// TestSuiteLacksAPart: the others are mirrored, and it is told once.
func TestSuiteLacksAPart(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*apt.Config)
		text   string
	}{
		"component":    {func(c *apt.Config) { c.Components = []string{"main", "firmware"} }, `component "firmware"; the suite has components main`},
		"architecture": {func(c *apt.Config) { c.Architectures = []string{"amd64", "riscv64"} }, `architecture "riscv64"; the suite has components main and architectures amd64`},
		"sources":      {func(c *apt.Config) { c.Indexes = []string{"all", "sources"} }, `architecture "source"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.config)
			s.publish(good)
			r := s.cycle()
			if r.Err != nil || r.Number != 1 || len(pool(s.b.Files())) != 2 {
				t.Fatalf("%+v", r)
			}
			told(t, r.Notes, false, c.text)
			quiet(t, s.cycle(), c.text)
		})
	}
}

// TestArchivedSuite is mirrored past its Valid-Until where the spec says so.
func TestArchivedSuite(t *testing.T) {
	s := newStage(t, nil)
	s.valid = time.Now().Add(-24 * time.Hour)
	s.publish(good)
	if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || r.Notes[0].Kind != "stale" {
		t.Fatalf("by default: %+v", r)
	}
	s.engine = s.archive.engine(s.b, func(c *apt.Config) { c.IgnoreValidUntil = true })
	s.mustCycle(t)
	quiet(t, s.cycle())
}

// TestNothingButAll: an archive of packages for all architectures may be wanted by that name.
func TestNothingButAll(t *testing.T) {
	s := newStage(t, func(c *apt.Config) { c.Architectures = []string{"all"} })
	s.tweak = func(r *debrepotest.Repo) { r.Suites[0].Release.Architectures = []string{"all"} }
	s.publish(map[string][]debrepotest.Package{"stable": {{Deb: debrepotest.Deb{Name: "a", Version: "1"}}}})
	s.mustCycle(t)
	if got := pool(s.b.Files()); !slices.Equal(got, []string{"a_1_all.deb"}) {
		t.Errorf("%v", got)
	}
}

// TestComponentsOfASuite: one suite of an archive may have components of its own.
func TestComponentsOfASuite(t *testing.T) {
	s := newStage(t, func(c *apt.Config) {
		c.Suites, c.Components = []string{"stable", "testing"}, []string{"main", "extra"}
		c.SuiteComponents = map[string][]string{"testing": {"main"}}
	})
	both := []debrepotest.Package{deb("a", "1"), {Component: "extra", Deb: deb("b", "1").Deb}}
	s.tweak = func(r *debrepotest.Repo) {
		for i := range r.Suites {
			r.Suites[i].Release.Components = []string{"main", "extra"}
		}
	}
	s.publishTwo(both, both)
	s.mustCycle(t)
	files := strings.Join(s.b.Files(), "\n")
	if !strings.Contains(files, "dists/stable/extra/") || !strings.Contains(files, "dists/testing/main/") || strings.Contains(files, "dists/testing/extra/") {
		t.Error(files)
	}
}
