package wheels_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/workflows"
)

// TestOneRottenSourceOfSeven: six are built in that cycle, one after the other;
// the seventh has a class, is mended by the next cycle, and built in it.
func TestOneRottenSourceOfSeven(t *testing.T) {
	t.Parallel()
	m := newMillOf(t, lab.Options{}, `projects = ["*"]`, "builds = 1")
	var pins []string
	for i := range 7 {
		name := fmt.Sprintf("native%d", i)
		m.sdist(name, "1.0")
		pins = append(pins, name+"===1.0")
	}
	m.sdist("pure", "1.0")
	m.want("pure===1.0")
	m.Cycle()
	rotten := m.find("native0-1.0.tar.gz")
	if err := os.WriteFile(rotten, []byte("rotten"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.want(append(pins, "pure===1.0")...)
	for i, w := range m.Cycle().Mirrors[1].Wheels {
		if w.Built != 6 || w.Failed != 1 || w.Known != 0 || w.Outcome != workflows.Partial || w.Error != "" {
			t.Errorf("beside a rotten source: %+v", w)
		}
		for _, s := range m.states("--failed", "--platform", m.platforms()[i]) {
			if s.Pin != "native0===1.0" || s.Class != wheels.BadSource || s.Message == "" {
				t.Errorf("%+v", s)
			}
		}
	}
	r := m.Cycle()
	for _, w := range r.Mirrors[1].Wheels {
		if w.Built != 1 || w.Failed != 0 || w.Outcome != workflows.Done {
			t.Errorf("after it is mended: %+v", w)
		}
	}
	if !slices.ContainsFunc(append(r.Mirrors[0].Mended, tended(r.Mirrors[0])...), func(p string) bool { return strings.HasSuffix(p, "/native0-1.0.tar.gz") }) {
		t.Errorf("nobody tells of the mended file: %+v", r.Mirrors[0])
	}
	if r := m.Cycle(); r.Outcome != workflows.Unchanged {
		t.Errorf("a quiet cycle after that: %+v", r)
	}
}

func tended(r workflows.MirrorResult) []string {
	if r.Tended == nil {
		return nil
	}
	return r.Tended.Mended
}

// find is where the index mirror has a file.
func (m *mill) find(name string) (path string) {
	m.t.Helper()
	err := filepath.WalkDir(m.Spec.TreeDir("pypi"), func(p string, d fs.DirEntry, err error) error {
		if d.Name() == name {
			path = p
		}
		return err
	})
	if err != nil || path == "" {
		m.t.Fatal(name, err)
	}
	return path
}
