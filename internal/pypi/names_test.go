package pypi_test

import (
	"slices"
	"testing"
)

// TestNamesOfFiles: any name that a file system takes is mirrored, and is the
// same name on the page, in the manifest and on disk.
func TestNamesOfFiles(t *testing.T) {
	names := []string{
		"alpha-1!2.0-py3-none-any.whl", "alpha-1!2.0+local.1-py3-none-any.whl", "alpha-1!2.0.tar.gz", "alpha-1.0 (copy).zip", "alpha-1.0'.zip", "alpha-100%.zip",
		"alpha-1.0%21.zip", "alpha-1.0#2.zip", "alpha-1.0@2.zip", "alpha-1.0&2.zip", "alpha-1.0=2.zip", "alpha-1.0;2.zip", "alpha-1.0,2.zip", "alpha-1.0~2.zip",
		"alpha-1.0+2.zip", "alpha-1.0é.zip", "alpha-1.0日本.zip", "alpha-1.0..2.zip", `alpha-1.0"2.zip`, "alpha-1.0<2>.zip", "alpha-1.0?2.zip", "alpha-1.0:2.zip",
		"alpha-1.0[2].zip", "alpha-1.0{2}|^`$*.zip",
	}
	s := newStage(t, nil)
	var files []file
	for _, name := range names {
		f := s.wheel("alpha", name)
		path := s.rename(f, name)
		f.Filename, f.URL = name, "../../"+escaped(path)
		files = append(files, f)
	}
	s.set("alpha", files...)
	s.set("beta", s.wheel("beta", "1"))
	s.mustCycle(t)
	if got := s.links("alpha"); !slices.Equal(got, names) {
		t.Errorf("page: %q", got)
	}
	for _, name := range names {
		if s.objects(name) != 1 {
			t.Errorf("%q is not on disk", name)
		}
	}
	s.set("alpha", files[:2]...)
	if r := s.mustCycle(t); len(s.links("alpha")) != 2 || r.Info.Drops == 0 {
		t.Errorf("dropped: %+v", r)
	}
}
