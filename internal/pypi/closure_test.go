package pypi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/tree"
)

// needing makes a wheel of a project whose METADATA asks for needs.
func (x *index) needing(project, version string, needs ...string) file {
	info := "Metadata-Version: 2.1\nName: " + project + "\nVersion: " + version + "\n"
	for _, n := range needs {
		info += "Requires-Dist: " + n + "\n"
	}
	return x.file(project+"-"+version+"-py3-none-any.whl", zipped(project+"-"+version+".dist-info/METADATA", info))
}

// sdist makes a source distribution that is built with build and runs with needs.
func (x *index) sdist(project, version string, build []string, needs ...string) file {
	info := "Metadata-Version: 2.1\nName: " + project + "\nVersion: " + version + "\n"
	for _, n := range needs {
		info += "Requires-Dist: " + n + "\n"
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"PKG-INFO": info, "pyproject.toml": fmt.Sprintf("[build-system]\nrequires = [%s]\n", `"`+strings.Join(build, `","`)+`"`)} {
		err := w.WriteHeader(&tar.Header{Name: project + "-" + version + "/" + name, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		x.t.Fatal(err)
	}
	return x.file(project+"-"+version+".tar.gz", b.Bytes())
}

// wish is a stage whose mirror follows a file of requirements for Python 3.11 on Linux.
type wish struct {
	*stage
	file string
}

func newWish(t *testing.T, text string, change func(*pypi.Config)) *wish {
	t.Helper()
	w := &wish{file: filepath.Join(t.TempDir(), "requirements.txt")}
	w.write(text)
	w.stage = newStage(t, func(c *pypi.Config) {
		c.Projects, c.Requirements = nil, []string{w.file}
		c.Environments = []requirements.Environment{requirements.Linux("3.11", "x86_64")}
		if change != nil {
			change(c)
		}
	})
	return w
}

func (w *wish) write(text string) {
	if err := os.WriteFile(w.file, []byte(text), 0o644); err != nil {
		panic(err)
	}
}

// mirrored lists every file on every page.
func (w *wish) mirrored() (out []string) {
	for _, name := range w.listed() {
		out = append(out, w.links(name)...)
	}
	return out
}

func (w *wish) want(t *testing.T, files ...string) {
	t.Helper()
	if diff := cmp.Diff(files, w.mirrored()); diff != "" {
		t.Errorf("mirrored (-want +got): %s", diff)
	}
}

// publish fills the index with an application and what it needs in several ways.
func (w *wish) publish() {
	w.set("app", w.needing("app", "1", "gone-in-2"), w.needing("app", "2", "lib[fast]>=1,<3", `win ; sys_platform == "win32"`, `old ; python_version < "3.9"`))
	w.set("lib", w.needing("lib", "1"), w.needing("lib", "2", `turbo ; extra == "fast"`, `slow ; extra == "slow"`), w.needing("lib", "3"))
	w.set("turbo", w.sdist("turbo", "1.0", []string{"builder>=2", "other-builder; python_version < '3'"}, "runtime"))
	w.set("runtime", w.wheel("runtime", "7"), w.sdist("runtime", "7", []string{"builder"}))
	w.set("builder", w.wheel("builder", "1"), w.wheel("builder", "2"), w.wheel("builder", "3"), w.wheel("builder", "4rc1"))
	for _, name := range []string{"win", "old", "slow", "other-builder", "stranger", "gone-in-2"} {
		w.set(name, w.wheel(name, "1"))
	}
}

func hasNote(t *testing.T, notes []tree.Note, unit string, kind fault.Kind, text string) {
	t.Helper()
	if !slices.ContainsFunc(notes, func(n tree.Note) bool {
		return n.Unit == unit && n.Kind == string(kind) && strings.Contains(n.Error, text)
	}) {
		t.Errorf("no note on %s (%s, %s) in %+v", unit, kind, text, notes)
	}
}

func TestRequirementsWithAllThatTheyNeed(t *testing.T) {
	w := newWish(t, "app==2\n", nil)
	w.publish()
	w.mustCycle(t)
	w.want(t, "app-2-py3-none-any.whl", "builder-3-py3-none-any.whl", "lib-2-py3-none-any.whl", "runtime-7-py3-none-any.whl", "runtime-7.tar.gz", "turbo-1.0.tar.gz")

	w.mu.Lock()
	sdists, downloads := 0, 0
	for path, n := range w.hits {
		if strings.HasSuffix(path, ".tar.gz") {
			sdists++
			downloads += n
		}
	}
	w.mu.Unlock()
	if sdists != 2 || downloads != 2 {
		t.Errorf("%d downloads of %d source distributions: what was proved is not fetched again", downloads, sdists)
	}
}

func TestQuietCycleOfRequirements(t *testing.T) {
	w := newWish(t, "app==2\nmissing>=1\n", nil)
	w.publish()
	w.cycle()
	for i := range 3 {
		w.requests("")
		statuses := w.watch()
		r := w.cycle()
		if r.Digest != "" || r.Err != nil || w.requests("") != 1 || !slices.Equal(*statuses, []string{"/simple/ 304"}) {
			t.Fatalf("quiet cycle %d: %+v, %v", i, r, *statuses)
		}
		hasNote(t, r.Notes, "missing", fault.Gone, "missing>=1")
		w.setAlter(nil)
	}
	// Upstream's other versions and projects make no generation, and are asked about once.
	w.set("lib", w.needing("lib", "1"), w.projects["lib"].Files[1], w.needing("lib", "3"), w.needing("lib", "4"))
	w.set("stranger", w.wheel("stranger", "2"))
	if r := w.cycle(); r.Digest != "" {
		t.Errorf("nothing that is wanted changed: %+v", r)
	}
	statuses := w.watch()
	if r := w.cycle(); r.Digest != "" || !slices.Equal(*statuses, []string{"/simple/ 304"}) {
		t.Errorf("nothing changed at all: %+v, %v", r, *statuses)
	}
}

// watch records what is asked, with the answers as the root page would give them.
func (w *stage) watch() *[]string {
	var all []string
	w.setAlter(func(out http.ResponseWriter, r *http.Request) bool {
		answer := httptest.NewRecorder()
		w.page(answer, r, w.root(), w.serial)
		all = append(all, fmt.Sprint(r.URL.Path, " ", answer.Code))
		return false
	})
	return &all
}

func TestChangesReachWhatTheyTouch(t *testing.T) {
	w := newWish(t, "app==2\n", nil)
	w.publish()
	w.mustCycle(t)

	w.set("builder", append(w.projects["builder"].Files, w.wheel("builder", "5"))...)
	w.mustCycle(t)
	if got := w.links("builder"); !slices.Equal(got, []string{"builder-5-py3-none-any.whl"}) {
		t.Error("a build requirement moves with upstream:", got)
	}
	if w.objects("builder-3-py3-none-any.whl") != 1 {
		t.Error("the former one is not retained")
	}

	w.write("app==2\nbuilder===2\n") // now it is pinned, and the pin satisfies
	w.mustCycle(t)
	if got := w.links("builder"); !slices.Equal(got, []string{"builder-2-py3-none-any.whl"}) {
		t.Error("a pin goes before the newest:", got)
	}

	w.write("app==2\nbuilder===1\n") // the pin satisfies one of the two
	w.mustCycle(t)
	if got := w.links("builder"); !slices.Equal(got, []string{"builder-1-py3-none-any.whl", "builder-5-py3-none-any.whl"}) {
		t.Error("a requirement that the pin does not meet:", got)
	}

	w.write("app==1\n")
	w.mustCycle(t)
	w.want(t, "app-1-py3-none-any.whl", "gone-in-2-1-py3-none-any.whl")
	w.write("app==1\napp==2\n")
	w.mustCycle(t)
	if got := w.links("app"); len(got) != 2 {
		t.Error("two pins of one project:", got)
	}
}

func TestUnpinnedRequirements(t *testing.T) {
	w := newWish(t, "app>=1\nnew\nsplit\n", func(c *pypi.Config) {
		c.Environments = append(c.Environments, requirements.Linux("3.9", ""))
	})
	yanked := w.wheel("app", "9")
	yanked.Yanked = true
	modern := w.wheel("split", "2")
	modern.Python = ">=3.11.4"
	w.set("app", w.wheel("app", "1"), w.wheel("app", "2"), yanked)
	w.set("new", w.wheel("new", "1a1"), w.wheel("new", "1a2"))
	w.set("split", w.wheel("split", "1"), modern)
	w.mustCycle(t)
	w.want(t, "app-2-py3-none-any.whl", "new-1a2-py3-none-any.whl", "split-1-py3-none-any.whl", "split-2-py3-none-any.whl")
}

func TestUnknownPlatformsWantEverything(t *testing.T) {
	w := newWish(t, "app==2\n", func(c *pypi.Config) { c.Environments = nil })
	w.publish()
	w.mustCycle(t)
	for _, name := range []string{"win", "old", "other-builder"} {
		if w.links(name) == nil {
			t.Error(name, "is missing")
		}
	}
	if w.links("slow") != nil {
		t.Error("an extra that nobody asks for")
	}
}

func TestMissingRequirementDelaysNothing(t *testing.T) {
	w := newWish(t, "app==2\nlib==77\nmissing\n-r other.txt\n", nil)
	w.publish()
	r := w.cycle()
	hasNote(t, r.Notes, "missing", fault.Gone, "the requirements")
	hasNote(t, r.Notes, "lib", fault.Gone, "lib==77")
	hasNote(t, r.Notes, w.file, fault.Malformed, `"-r"`)
	if r.Number != 1 || len(w.mirrored()) != 6 {
		t.Fatalf("%+v, %v", r, w.mirrored())
	}
	for _, n := range r.Notes {
		if !n.Standing {
			t.Errorf("trying again would help: %+v", n)
		}
	}
	w.set("missing", w.wheel("missing", "1"))
	w.cycle()
	if w.links("missing") == nil {
		t.Error("it came up upstream, and is not mirrored")
	}
}

func TestProjectsBesideRequirements(t *testing.T) {
	w := newWish(t, "app==2\n", func(c *pypi.Config) { c.Projects, c.Exclude = []string{"lib", "str*"}, []string{"builder"} })
	w.publish()
	w.mustCycle(t)
	if got := w.links("lib"); len(got) != 3 {
		t.Error("a project of the spec has all versions:", got)
	}
	if w.links("stranger") == nil || w.links("builder") != nil || w.links("turbo") == nil {
		t.Error(w.listed())
	}
	w.configure(func(c *pypi.Config) {
		c.Requirements, c.Environments = []string{w.file}, []requirements.Environment{requirements.Linux("3.11", "x86_64")}
	})
	c := w.cycle()
	w.configure(func(c *pypi.Config) {
		c.Projects, c.Requirements, c.Environments = nil, []string{w.file}, []requirements.Environment{requirements.Linux("3.11", "x86_64")}
	})
	if c = w.cycle(); c.Err != nil || len(w.links("lib")) != 1 || w.links("stranger") != nil {
		t.Error("now requirements choose:", w.links("lib"), c)
	}
	w.configure(func(c *pypi.Config) { c.Projects = []string{"lib"} })
	if c = w.cycle(); c.Err != nil || len(w.links("lib")) != 3 || len(w.listed()) != 1 {
		t.Error("and now the spec alone:", w.links("lib"), w.listed(), c)
	}
}

// TestWheelsMirrorsAsRequirements takes what a wheels mirror wants from its state.
func TestWheelsMirrorsAsRequirements(t *testing.T) {
	state := t.TempDir()
	w := newWish(t, "# nothing of its own\n", nil)
	env := requirements.Linux("3.11", "x86_64")
	w.configure(func(c *pypi.Config) {
		c.Projects, c.Wheels, c.Environments = nil, []string{state}, []requirements.Environment{env}
	})
	w.publish()
	r := w.cycle()
	hasNote(t, r.Notes, "requirements", fault.Early, state)
	bring := func(global, upper string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"global": global, "upper": upper} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s, err := reqsource.New(reqsource.Config{File: dir + "/global", Constraints: dir + "/upper", State: state, Environments: map[string]requirements.Environment{"p": env}})
		if err == nil {
			_, err = s.Bring(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bring("app\n", "app===2\nLib===2;python_version>='3.9'\nturbo===1.0\nstranger===1\n")
	w.mustCycle(t)
	w.want(t, "app-2-py3-none-any.whl", "builder-3-py3-none-any.whl", "lib-2-py3-none-any.whl", "runtime-7-py3-none-any.whl", "runtime-7.tar.gz", "turbo-1.0.tar.gz")
	bring("app\n", "app===1\n")
	w.mustCycle(t)
	w.want(t, "app-1-py3-none-any.whl", "gone-in-2-1-py3-none-any.whl")
	if err := os.WriteFile(filepath.Join(state, "requirements", "wanted"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.cycle(); r.Digest != "" || !errors.Is(r.Err, fault.Corrupt) || len(w.mirrored()) != 2 {
		t.Errorf("damaged: %+v", r)
	}
}
