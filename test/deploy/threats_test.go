package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
)

// TestThreatsHaveTests: every claim of docs/security.md names tests, and each is
// in the package that the claim says.
func TestThreatsHaveTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(lab.Root(), "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| actor | can reach | claim | test |\n")
	rows := 0
	part := regexp.MustCompile("`([a-z/]+)` ((?:Test[A-Za-z0-9]+(?:, )?)+)")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != 4 {
			break
		}
		if strings.HasPrefix(cells[0], "---") {
			continue
		}
		rows++
		named := part.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", cells[2])
		}
		for _, n := range named {
			sources := packageTests(t, n[1])
			for _, name := range strings.Split(n[2], ", ") {
				if !strings.Contains(sources, "func "+name+"(") {
					t.Errorf("%s has no %s", n[1], name)
				}
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d claims", rows)
	}
}

func packageTests(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(lab.Root(), dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
