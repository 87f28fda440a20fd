package wheelbuild_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
)

// asked serves an index and keeps what was asked for.
type asked struct {
	http.Handler
	mu    sync.Mutex
	paths []string
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.paths = append(a.paths, r.URL.Path)
	a.mu.Unlock()
	a.Handler.ServeHTTP(w, r)
}

// take returns what was asked for since it was last called.
func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.paths
	a.paths = nil
	return out
}

func hasWheel(paths []string, name string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(p, "/"+name+"-") })
}

// needing is an sdist whose build needs setuptools and does what setup.py says.
func needing(t *testing.T, setup string) (path, digest string) {
	t.Helper()
	return rootlab.SDist(t, "demo", "1.0", map[string]string{
		"pyproject.toml": "[build-system]\nrequires = ['setuptools >= 60']\nbuild-backend = 'setuptools.build_meta'\n",
		"setup.py":       setup + "\nfrom setuptools import setup\nsetup(name='demo', version='1.0', py_modules=[])\n"})
}

// TestEnvironmentsAreMadeOnce builds from the index, and again without asking it
// for anything, until it has another state. What a build does to its environment
// is not in the next one's.
func TestEnvironmentsAreMadeOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	index := &asked{Handler: r.index}
	r.index = index
	build := func(state, setup string) build.Result {
		t.Helper()
		sdist, digest := needing(t, setup)
		req := r.request(t, rootlab.Debian12, "demo", "1.0", sdist, digest)
		req.IndexState = state
		res := run(t, req)
		if res.Class != "" {
			log, _ := os.ReadFile(filepath.Join(req.Dir, res.Log))
			t.Fatalf("%+v: %s", res, log)
		}
		return res
	}
	first := build("1", "import setuptools; open(setuptools.__path__[0] + '/spoilt', 'w')")
	if paths := index.take(); !hasWheel(paths, "setuptools") {
		t.Errorf("the first build asked for %v", paths)
	}
	again := build("1", "import setuptools, os; assert not os.path.exists(setuptools.__path__[0] + '/spoilt')")
	if paths := index.take(); len(paths) != 0 {
		t.Errorf("the second build asked for %v", paths)
	}
	if first.SHA256 != again.SHA256 {
		t.Errorf("two builds differ: %+v, %+v", first, again)
	}
	build("2", "")
	if paths := index.take(); !hasWheel(paths, "setuptools") {
		t.Errorf("with another state of the index a build asked for %v", paths)
	}
	r.environments = nil
	if alone := build("1", ""); alone.SHA256 != first.SHA256 {
		t.Errorf("pip's own build differs: %+v, %+v", alone, first)
	}
	if paths := index.take(); !hasWheel(paths, "setuptools") {
		t.Errorf("pip's own build asked for %v", paths)
	}
}

// TestPipDoesWhatEnvironmentsCannot builds what turns out to need more than its
// pyproject.toml says, and what needs a project that has no wheel.
func TestPipDoesWhatEnvironmentsCannot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own := func(requires, hooks string) map[string]string {
		return map[string]string{"pyproject.toml": "[build-system]\nrequires = [" + requires + "]\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
			"backend.py": backend + "    import " + hooks[:strings.Index(hooks, "\n")] + "\n    return wheel(directory, name, version, record)\n" + hooks[strings.Index(hooks, "\n"):]}
	}
	tests := map[string]struct {
		files map[string]string
		pip   bool
	}{
		"what is there":                       {own("'flit_core>=3'", "flit_core\ndef get_requires_for_build_wheel(c=None): return ['flit-core<4', 'x; python_version<\"3\"']\n"), false},
		"more than it says":                   {own("'flit_core>=3'", "setuptools\ndef get_requires_for_build_wheel(c=None): return ['setuptools']\n"), true},
		"a source alone":                      {own("'six'", "six\n"), true},
		"nothing":                             {own("", "zipfile\n"), false},
		"something that looks like an option": {own("'--version'", "zipfile\n"), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdist, digest := rootlab.SDist(t, "demo", "1.0", tt.files)
			req := r.request(t, rootlab.Debian13, "demo", "1.0", sdist, digest)
			res := run(t, req)
			log, err := os.ReadFile(filepath.Join(req.Dir, res.Log))
			if err != nil {
				t.Fatal(err)
			}
			atOnce := strings.Contains(string(log), "build_wheel]") && !strings.Contains(string(log), "pip does it all")
			if optionLike := strings.HasPrefix(name, "something"); (res.Class != "") != optionLike || atOnce == tt.pip {
				t.Errorf("%+v: %s", res, log)
			}
		})
	}
}
