package apt_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

// forge512 publishes packages of which those that match have a SHA512 alone in
// their stanzas, and damages what is served.
func (s *stage) forge512(t *testing.T, packages []debrepotest.Package, match string, damage func(map[string][]byte)) (whole map[string][]byte) {
	t.Helper()
	s.publish(map[string][]debrepotest.Package{"stable": packages})
	var plain bytes.Buffer
	for _, p := range packages {
		plain.Write(stanza(p, func(q *debrepo.Package) {
			if strings.HasPrefix(p.Name, match) {
				q.Hashes = debrepo.Hashes{SHA1: q.Hashes.SHA1, SHA512: q.Hashes.SHA512}
			}
		}))
	}
	s.forge(forged{plain: plain.Bytes()})
	whole = maps.Clone(s.u.files)
	s.edit(damage)
	return whole
}

// TestTolerateStrongerDigestAlone: with missing = "tolerate" a package that only
// its SHA-512 proves, and that upstream lacks or has damaged, is left out alone,
// told once, and had when upstream has healed.
func TestTolerateStrongerDigestAlone(t *testing.T) {
	const path = "pool/main/p/p042/p042_2_amd64.deb"
	for name, c := range map[string]struct {
		match  string
		damage func(files map[string][]byte)
	}{
		"missing, all stanzas so": {"p04", func(files map[string][]byte) { delete(files, path) }},
		"missing, mixed":          {"p042", func(files map[string][]byte) { delete(files, path) }},
		"other size":              {"p042", func(files map[string][]byte) { files[path] = []byte("short") }},
		"other bytes": {"p042", func(files map[string][]byte) {
			files[path] = bytes.Repeat([]byte{'x'}, len(files[path]))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tolerant)
			packages := many("2")[30:60]
			whole := s.forge512(t, packages, c.match, c.damage)
			r := s.cycle()
			if r.Err != nil || r.Number != 1 || len(pool(s.b.Files())) != 29 {
				t.Fatalf("%d packages, %+v", len(pool(s.b.Files())), r)
			}
			told(t, r.Notes, false, path+" is left out: ")
			for range 2 {
				s.u.requests()
				quiet(t, s.cycle(), path+" is left out: ")
				lacks(t, s, 1, 0, path)
				if s.u.hits[path] == 0 {
					t.Error("it was not looked for again")
				}
			}
			s.edit(func(files map[string][]byte) { files[path] = whole[path] })
			if r := s.cycle(); r.Err != nil || r.Number != 2 || s.b.Read(path) != string(whole[path]) {
				t.Fatalf("upstream has healed, yet: %+v", r)
			}
			if r := s.cycle(); r.Digest != "" || len(r.Notes) != 0 {
				t.Errorf("then all is well: %+v", r)
			}
			lacks(t, s, 0, 0, "")
		})
	}
	for name, change := range map[string]struct {
		tolerate bool
		text     string
	}{"too many": {true, "15 objects cannot be had, more than the 10"}, "by default the suite waits": {false, "p000_2_amd64.deb"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			if change.tolerate {
				s = newStage(t, tolerant)
			}
			s.forge512(t, many("2")[:30], "p", func(files map[string][]byte) {
				maps.DeleteFunc(files, func(p string, _ []byte) bool {
					return strings.HasPrefix(p, "pool/main/p/p00") || strings.HasPrefix(p, "pool/main/p/p010") || strings.HasPrefix(p, "pool/main/p/p011") ||
						strings.HasPrefix(p, "pool/main/p/p012") || strings.HasPrefix(p, "pool/main/p/p013") || strings.HasPrefix(p, "pool/main/p/p014")
				})
			})
			if r := s.cycle(); r.Number != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Error, change.text) || r.Notes[0].Standing {
				t.Errorf("%+v", r)
			}
		})
	}
}
