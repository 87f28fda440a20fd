// Package site_test looks at a region's status page as people and load balancers do: with Chromium, axe-core, nginx and Apache.
package site_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
)

// seen is what look.cjs says about a page in one width and colour scheme.
type seen struct {
	Page       string
	Scheme     string
	Width      int
	Overflow   int
	Background string
	Passes     int
	Incomplete []string
	Violations []string
	Errors     []string
}

// modules has what test/site/package.json names.
func modules() string { return filepath.Join(lab.Root(), ".cache", "site", "node_modules") }

// chromium finds what pages are looked at with.
func chromium(t *testing.T) (node, program string) {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	node, err := exec.LookPath("node")
	_, noAxe := os.Stat(filepath.Join(modules(), "axe-core"))
	lab.Need(t, "Chromium, Node.js or what test/site/package.json names is not installed (test/prepare site)", program != "" && err == nil && noAxe == nil)
	return node, program
}

// look opens pages in Chromium. With MIRRORCYCLE_SHOTS=DIR it leaves pictures there.
func look(t *testing.T, pages ...string) []seen {
	t.Helper()
	node, program := chromium(t)
	cmd := exec.CommandContext(t.Context(), node, append([]string{filepath.Join(lab.Root(), "test/site/look.cjs"), program, os.Getenv("MIRRORCYCLE_SHOTS")}, pages...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var all []seen
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil || len(all) != 4*len(pages) {
		t.Fatalf("%d views of %d pages: %v", len(all), len(pages), err)
	}
	return all
}

// TestPagesInABrowser: in light and dark, wide and narrow, nothing is outside
// WCAG 2.1 AA, wider than the screen, or asked for from elsewhere.
func TestPagesInABrowser(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(lab.Root(), "internal/site/testdata/*.html"))
	if err != nil || len(pages) < 3 {
		t.Fatal(pages, err)
	}
	backgrounds := map[string]string{}
	for _, s := range look(t, pages...) {
		for _, list := range [][]string{s.Violations, s.Errors, s.Incomplete} {
			for _, what := range list {
				t.Errorf("%s, %s, %d wide: %s", s.Page, s.Scheme, s.Width, what)
			}
		}
		if s.Overflow > 0 {
			t.Errorf("%s is %d wider than %d", s.Page, s.Overflow, s.Width)
		}
		if s.Passes < 10 {
			t.Errorf("%s: axe-core looked at %d rules only", s.Page, s.Passes)
		}
		backgrounds[s.Scheme] = s.Background
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("light and dark are both %s", backgrounds["light"])
	}
}

// TestTheBrowserWouldNotice is the control: a page with faults of each sort.
func TestTheBrowserWouldNotice(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.html")
	text := `<html><body><img src="no.png"><p style="color:#999;background:#aaa">faint</p><div style="width:3000px">wide</div></body></html>`
	if err := os.WriteFile(bad, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range look(t, bad) {
		all := strings.Join(s.Violations, "\n")
		for _, rule := range []string{"image-alt:", "color-contrast:", "html-has-lang:"} {
			if !strings.Contains(all, rule) {
				t.Errorf("%s is not among\n%s", rule, all)
			}
		}
		if s.Overflow <= 0 || len(s.Errors) == 0 {
			t.Errorf("overflow %d, errors %v", s.Overflow, s.Errors)
		}
	}
}
