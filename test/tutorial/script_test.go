package tutorial_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"mirrorcycle/internal/lab"
)

// step is a command of the tutorial, or a file that its reader writes.
type step struct {
	line   int
	text   string // the command, or the name of the file
	file   bool
	status int
	before []string // regular expressions that its output matches
	ctrlC  bool     // it runs until Ctrl-C
	after  []string // what it prints after that
}

// script reads docs/tutorial.txtar.
func script(t *testing.T) (steps []step, files map[string]string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join(lab.Root(), "docs", "tutorial.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	n := 0
	for line := range strings.Lines(string(archive.Comment)) {
		n++
		mark, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var last *step
		if len(steps) > 0 {
			last = &steps[len(steps)-1]
		}
		switch mark {
		case "$", "=":
			steps = append(steps, step{line: n, text: rest, file: mark == "="})
		case ">":
			if last.ctrlC {
				last.after = append(last.after, rest)
			} else {
				last.before = append(last.before, rest)
			}
		case "^C":
			last.ctrlC = true
		case "?":
			if last.status, err = strconv.Atoi(rest); err != nil {
				t.Fatalf("line %d: %v", n, err)
			}
		}
	}
	return steps, files
}

// TestSameCommands: what the tutorial tells a reader to run and to write is what is tested, in the same order.
func TestSameCommands(t *testing.T) {
	steps, files := script(t)
	text, err := os.ReadFile(filepath.Join(lab.Root(), "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, block := range strings.Split(string(text), "```") {
		kind, body, _ := strings.Cut(block, "\n")
		switch {
		case i%2 == 0:
		case kind == "toml":
			if body != files["mirrors.toml"] {
				t.Errorf("the file that the tutorial shows differs from that of the script:\n%s", body)
			}
			want = append(want, "= mirrors.toml")
		case kind == "console":
			for line := range strings.Lines(body) {
				if strings.HasPrefix(line, "$ ") || line == "^C\n" {
					want = append(want, strings.TrimSuffix(line, "\n"))
				}
			}
		default:
			t.Errorf("a block of kind %q is neither run nor compared", kind)
		}
	}
	var got []string
	for _, s := range steps {
		if s.file {
			got = append(got, "= "+s.text)
			continue
		}
		if got = append(got, "$ "+s.text); s.ctrlC {
			got = append(got, "^C")
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("step %d: the script and the tutorial differ:\n%q\n%q", i+1, at(got, i), at(want, i))
		}
	}
}

// at is an entry, or that there is none.
func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(the end)"
}
