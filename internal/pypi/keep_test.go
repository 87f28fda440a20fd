package pypi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/pypi"
)

// TestKeepLatest counts the versions that people install.
func TestKeepLatest(t *testing.T) {
	pre := func(c *pypi.Config) { c.LeavePreReleases = true }
	local := func(c *pypi.Config) { c.LeaveLocalVersions = true }
	tests := map[string]struct {
		keep   int
		change func(*pypi.Config)
		files  []string // after "alpha-", newest last
		want   []string
	}{
		"pre-releases do not push finals out": {2, nil, []string{"1.tar.gz", "2.tar.gz", "3rc1.tar.gz", "3.tar.gz", "4.dev1.tar.gz", "4.dev2.tar.gz", "4a1.tar.gz"},
			[]string{"2.tar.gz", "3rc1.tar.gz", "3.tar.gz", "4.dev1.tar.gz", "4.dev2.tar.gz", "4a1.tar.gz"}},
		"pre-releases left out":    {2, pre, []string{"1.tar.gz", "2.tar.gz", "3rc1.tar.gz", "3.tar.gz", "4.dev1.tar.gz"}, []string{"2.tar.gz", "3.tar.gz"}},
		"nothing but pre-releases": {2, pre, []string{"1a1.tar.gz", "1a2.tar.gz", "1b1.tar.gz"}, []string{"1a2.tar.gz", "1b1.tar.gz"}},
		"local versions count once": {2, nil, []string{"1.tar.gz", "2.tar.gz", "2+cpu.tar.gz", "2+cu121.tar.gz", "3.tar.gz", "3+cpu.tar.gz"},
			[]string{"2.tar.gz", "2+cpu.tar.gz", "2+cu121.tar.gz", "3.tar.gz", "3+cpu.tar.gz"}},
		"local versions left out":    {2, local, []string{"1.tar.gz", "2.tar.gz", "2+cpu.tar.gz", "3.tar.gz", "3+cpu.tar.gz"}, []string{"2.tar.gz", "3.tar.gz"}},
		"nothing but local versions": {2, local, []string{"1+cpu.tar.gz", "2+cpu.tar.gz", "2+cu121.tar.gz", "3+cpu.tar.gz"}, []string{"2+cpu.tar.gz", "2+cu121.tar.gz", "3+cpu.tar.gz"}},
		"an epoch is newer":          {1, nil, []string{"2026.1.tar.gz", "1!1.0.tar.gz"}, []string{"1!1.0.tar.gz"}},
		"post-releases are final":    {1, nil, []string{"1.tar.gz", "1.post1.tar.gz"}, []string{"1.post1.tar.gz"}},
		"fewer than that":            {9, nil, []string{"1.tar.gz", "2.tar.gz"}, []string{"1.tar.gz", "2.tar.gz"}},
		"every type of a dropped version goes": {1, nil, []string{"1.tar.gz", "1-py3-none-any.whl", "1.win32.exe", "1.win-amd64-py2.7.exe", "1.win32.msi", "1-1.noarch.rpm", "1-py2.7.egg",
			"1.linux-x86_64.tar.gz", "1.0-1.src.rpm", "1.macosx-10.9-x86_64.dmg", "2.tar.gz", "2.win32-py2.7.exe"}, []string{"2.tar.gz", "2.win32-py2.7.exe"}},
		"no version stays": {1, nil, []string{"1.tar.gz", "2.tar.gz", "manual.zip"}, []string{"2.tar.gz", "manual.zip"}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(cfg *pypi.Config) {
				cfg.KeepLatest = c.keep
				if c.change != nil {
					c.change(cfg)
				}
			})
			var files []file
			for _, name := range c.files {
				files = append(files, s.file("alpha-"+name, []byte(name)))
			}
			for i := range files {
				files[i].URL = escaped(files[i].URL)
			}
			s.set("alpha", files...)
			s.mustCycle(t)
			var want []string
			for _, name := range c.want {
				want = append(want, "alpha-"+name)
			}
			if d := cmp.Diff(want, s.links("alpha")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestKeepLatestWithoutTheNewest: where the newest version never arrives, the one
// before stays, and the project moves on.
func TestKeepLatestWithoutTheNewest(t *testing.T) {
	s := newStage(t, func(c *pypi.Config) { c.KeepLatest = 2 })
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"))
	s.mustCycle(t)
	lost := s.wheel("alpha", "3")
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"), lost)
	s.lose(lost)
	for range 2 {
		if r := s.cycle(); r.Err != nil || len(s.links("alpha")) != 2 {
			t.Fatalf("%+v %v", r, s.links("alpha"))
		}
	}
	s.set("alpha", s.wheel("alpha", "1"), s.wheel("alpha", "2"), lost, s.wheel("alpha", "4"))
	s.lose(lost)
	for range 2 {
		if r := s.cycle(); r.Err != nil || r.Info.Missing != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if d := cmp.Diff([]string{"alpha-2-py3-none-any.whl", "alpha-4-py3-none-any.whl"}, s.links("alpha")); d != "" {
		t.Error(d)
	}
}
