package house_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorcycle/internal/house"
)

const module = "mirrorcycle/"

// room is a package as its sources show it.
type room struct {
	imports []string
	doc     string
}

// rooms parses the sources rather than asking go list, whose answer the test cache would not notice.
func rooms(t *testing.T) map[string]*room {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*room{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "devserver", "test", "bin", "docs"}, d.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		add(out, filepath.ToSlash(filepath.Dir(rel)), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func add(out map[string]*room, dir string, f *ast.File) {
	r := out[dir]
	if r == nil {
		r = new(room)
		out[dir] = r
	}
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		r.imports = append(r.imports, path)
	}
	if f.Doc != nil && r.doc == "" {
		r.doc = f.Doc.Text()
	}
}

func floorOf(dir string) int {
	return slices.IndexFunc(house.Floors, func(rooms []string) bool { return slices.Contains(rooms, dir) })
}

func TestDoorsLeadDown(t *testing.T) {
	for dir, r := range rooms(t) {
		floor := floorOf(dir)
		bench := slices.Contains(house.Benches, dir)
		if floor < 0 && !bench {
			t.Errorf("%s stands on no floor: add it to internal/house", dir)
			continue
		}
		for _, path := range r.imports {
			local, ours := strings.CutPrefix(path, module)
			switch {
			case strings.HasPrefix(path, "go.temporal.io/") && floor < house.TemporalFloor && !bench:
				t.Errorf("%s (floor %d) imports %s: Temporal begins on floor %d", dir, floor, path, house.TemporalFloor)
			case !ours || bench:
			case slices.Contains(house.Benches, local):
				t.Errorf("%s imports %s, which is for tests", dir, local)
			case floorOf(local) >= floor:
				t.Errorf("%s (floor %d) imports %s (floor %d): doors lead down only", dir, floor, local, floorOf(local))
			}
		}
	}
}

func TestEveryRoomHasACaption(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for dir, r := range rooms(t) {
		base := dir[strings.LastIndexByte(dir, '/')+1:]
		first := new(doc.Package).Synopsis(r.doc)
		if !strings.HasPrefix(r.doc, "Package "+base+" ") && !strings.HasPrefix(r.doc, "Command "+base+" ") {
			t.Errorf("%s: its package doc must begin with what it does", dir)
			continue
		}
		row := fmt.Sprintf("| %d | %s | %s |", floorOf(dir), dir, first)
		if floorOf(dir) >= 0 && !strings.Contains(string(text), row) {
			t.Errorf("ARCHITECTURE.md lacks the row\n%s", row)
		}
	}
}

// TestEveryDependencyHasAReason looks for each direct requirement of go.mod in ARCHITECTURE.md.
func TestEveryDependencyHasAReason(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.HasPrefix(line, "\t") || !strings.HasPrefix(f[1], "v") {
			continue
		}
		n++
		if !strings.Contains(string(text), f[0]) {
			t.Errorf("ARCHITECTURE.md does not say why the project needs %s", f[0])
		}
	}
	if n < 10 {
		t.Errorf("only %d direct requirements were found in go.mod", n)
	}
}

// skip is a call that skips a test, whatever the environment says.
var skip = regexp.MustCompile(`\b(t|tb|b|f)\.Skip(f|Now)?\(`)

// TestSkipsFailInCI: a test is skipped by one function, which fails it with CI=true.
func TestSkipsFailInCI(t *testing.T) {
	var found []string
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "../.." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil && skip.Match(text) {
			found = append(found, strings.TrimPrefix(filepath.ToSlash(name), "../../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// devserver is a module of its own.
	if want := []string{"devserver/need_test.go", "internal/need/need.go"}; !slices.Equal(found, want) {
		t.Errorf("tests are skipped in %q; call need.That, as %q alone may skip", found, want)
	}
}

// TestOneRoomPerWord keeps what one room alone may write out.
func TestOneRoomPerWord(t *testing.T) {
	rules := []struct {
		what string
		text *regexp.Regexp
		in   []string
		use  string
	}{
		{"locates a tree", regexp.MustCompile(`\btree\.Config\{[A-Z]`), nil, "mirror.Tree or tree.At"},
		{"renames", regexp.MustCompile(`\bos\.Rename\(|\bunix\.Renameat`), []string{"internal/durable"}, "internal/durable"},
		{"syncs a file system", regexp.MustCompile(`\bunix\.Syncfs\(`), []string{"internal/durable"}, "durable.Disks"},
	}
	eachSource(t, func(name string, text []byte) {
		dir := filepath.ToSlash(filepath.Dir(name))
		for _, r := range rules {
			if r.text.Match(text) && !slices.Contains(r.in, dir) {
				t.Errorf("%s %s by hand: use %s", name, r.what, r.use)
			}
		}
	})
}

// eachSource calls f with every source of the product, comments left out.
func eachSource(t *testing.T, f func(name string, text []byte)) {
	t.Helper()
	for dir := range rooms(t) {
		if slices.Contains(house.Benches, dir) || strings.HasSuffix(dir, "test") {
			continue // what tests build with
		}
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				f(strings.TrimPrefix(filepath.ToSlash(file), "../../"), comment.ReplaceAll(text, nil))
			}
		}
	}
}

var comment = regexp.MustCompile(`(?m)^\s*//.*$`)

// TestCompatibilityNamesTests: each row of docs/compatibility.md is a test that there is.
func TestCompatibilityNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	err = filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(text), -1) {
		if !there[name] {
			t.Errorf("docs/compatibility.md names %s, which is no test", name)
		}
	}
}
