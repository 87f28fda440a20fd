package afsadmin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/fault"
)

// TestRetire never takes the last site that clients can read, which one that
// was added and not released to yet is not.
func TestRetire(t *testing.T) {
	for _, c := range []struct {
		name   string
		states []string // of the region's site, and of the others
		done   bool
	}{
		{"another one serves", []string{"", ""}, true},
		{"another one serves the generation before", []string{" -- New release", " -- Old release"}, true},
		{"it is the only one", []string{""}, false},
		{"nothing was released to the other one", []string{"", " -- Not released"}, false},
		{"nothing was released to itself", []string{" -- Not released", ""}, true},
		{"nothing was ever released", []string{" -- Not released", " -- Not released"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			entry := "mirror.debian\n    RWrite: 1     ROnly: 2\n    number of sites -> 2\n       server 192.0.2.9 partition /vicepa RW Site\n"
			for i, s := range c.states {
				entry += "       server 192.0.2." + string(rune('1'+i)) + " partition /vicepa RO Site " + s + "\n"
			}
			script := "cd " + dir + "\ncase $1 in\nlistvldb) cat entry ;;\nremsite) echo \"$*\" >> said; sed -i '/192.0.2.1 .* RO/d' entry ;;\nesac\n"
			if err := os.WriteFile(filepath.Join(dir, "entry"), []byte(entry), 0o644); err != nil {
				t.Fatal(err)
			}
			cell := afsadmin.Cell{Name: "example.org", Localauth: true, Enter: []string{"sh", "-c", script}}
			done, err := cell.Retire(t.Context(), "dfw", []afsadmin.Volume{{Name: "mirror.debian", Sites: []afsadmin.Site{{Region: "dfw", Server: "192.0.2.1", Partition: "a"}}}})
			said, _ := os.ReadFile(filepath.Join(dir, "said"))
			if (len(done) == 1) != c.done || strings.Contains(string(said), "remsite") != c.done || errors.Is(err, fault.Config) == c.done || (err == nil) != c.done {
				t.Errorf("%v, %v; vos was asked for %q", done, err, said)
			}
		})
	}
}
