package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var commandLine = regexp.MustCompile(`(?:^|\s)(?:bin/)?starter ([a-z].*)`)

// TestDocsNameCommands: what a block of a document runs is a command that
// exists, with flags that it has.
func TestDocsNameCommands(t *testing.T) {
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range blocks(string(data)) {
			m := commandLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			seen++
			if fault := unknown(m[1]); fault != "" {
				t.Errorf("%s: %s: %s", filepath.Base(file), strings.TrimSpace(line), fault)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d commands were found", seen)
	}
}

// TestDocsWouldBeCaught is the control.
func TestDocsWouldBeCaught(t *testing.T) {
	for line, bad := range map[string]bool{
		"schedule apply FILE --dry-run":               false,
		"wheels [--failed]     what became of them":   false,
		"status                what every region has": false,
		"frobnicate":          true,
		"schedule frobnicate": true,
		"schedule":            true,
		"status --frobnicate": true,
		"schedule apply --dry-run=maybe  not a switch": true,
	} {
		if got := unknown(line); (got != "") != bad {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// blocks returns the lines within ``` fences.
func blocks(text string) []string {
	var out []string
	inside := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inside = !inside
		case inside:
			out = append(out, strings.TrimRight(line, "\n"))
		}
	}
	return out
}

// unknown says what a command line names that does not exist. Two spaces and
// more begin the words that explain it.
func unknown(line string) string {
	line, _, _ = strings.Cut(line, "  ")
	for _, end := range []string{" #", " &", " |", ";", " >"} {
		line, _, _ = strings.Cut(line, end)
	}
	args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))
	c, rest, err := newRoot().Find(args)
	if err != nil {
		return err.Error()
	}
	if !c.Runnable() {
		return "it is not a whole command"
	}
	if slices.Contains(rest, `\`) {
		rest = rest[:slices.Index(rest, `\`)]
	}
	if err := c.ParseFlags(rest); err != nil {
		return err.Error()
	}
	return ""
}
