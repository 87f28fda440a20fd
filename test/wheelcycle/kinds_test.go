package wheelcycle_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/rootlab"
	"mirrorcycle/workflows"
)

// A module in C, for one Python and for the limited API (PEP 384).
const (
	moduleC = "#include <Python.h>\nstatic struct PyModuleDef m = {PyModuleDef_HEAD_INIT, \"NAME\", 0, -1, 0};\nPyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&m); }\n"
	backend = "[build-system]\nrequires = ['setuptools>=60']\nbuild-backend = 'setuptools.build_meta'\n"
)

// kinds are sources by what their wheels are bound to.
var kinds = map[string]map[string]string{
	"kpure": {"PKG-INFO": "Metadata-Version: 2.2\nName: kpure\nVersion: 1.0\n", "kpure.py": "", "setup.py": "from setuptools import setup\nsetup(name='kpure', version='1.0', py_modules=['kpure'])\n"},
	"kc": {"kc.c": strings.ReplaceAll(moduleC, "NAME", "kc"),
		"setup.py": "from setuptools import setup, Extension\nsetup(name='kc', version='1.0', ext_modules=[Extension('kc', ['kc.c'])])\n"},
	"kabi": {"PKG-INFO": "Metadata-Version: 2.2\nName: kabi\nVersion: 1.0\n", "kabi.c": "#define Py_LIMITED_API 0x03060000\n" + strings.ReplaceAll(moduleC, "NAME", "kabi"),
		"setup.py": "from setuptools import setup, Extension\nsetup(name='kabi', version='1.0', ext_modules=[Extension('kabi', ['kabi.c'], py_limited_api=True)], options={'bdist_wheel': {'py_limited_api': 'cp36'}})\n"},
	"kctypes": {"PKG-INFO": "Metadata-Version: 2.2\nName: kctypes\nVersion: 1.0\n", "f.c": "#include <features.h>\nint built(void) { return __GLIBC_MINOR__; }\n",
		"kctypes/__init__.py": "import ctypes, os\nbuilt = ctypes.CDLL(os.path.join(os.path.dirname(__file__), 'lib.so')).built()\n",
		"setup.py":            "import subprocess\nfrom setuptools import setup\nsubprocess.check_call(['cc', '-shared', '-fPIC', '-o', 'kctypes/lib.so', 'f.c'])\nsetup(name='kctypes', version='1.0', packages=['kctypes'], package_data={'kctypes': ['lib.so']})\n"},
	"kdynamic":  {"kdynamic.py": "", "setup.py": "import sys\nfrom setuptools import setup\nsetup(name='kdynamic', version='1.0', py_modules=['kdynamic'], install_requires=['kneeds3%d' % sys.version_info[1]])\n"},
	"kneeds311": {"kneeds311.py": "", "setup.py": "from setuptools import setup\nsetup(name='kneeds311', version='1.0', py_modules=['kneeds311'])\n"},
	"kneeds313": {"kneeds313.py": "", "setup.py": "from setuptools import setup\nsetup(name='kneeds313', version='1.0', py_modules=['kneeds313'])\n"},
}

// tool is what a build asks for only while it runs; nobody else wants it.
func tool(t *testing.T) (tool, learns string) {
	tool, _ = rootlab.SDist(t, "ktool", "1.0", map[string]string{"pyproject.toml": backend, "ktool.py": "",
		"setup.py": "from setuptools import setup\nsetup(name='ktool', version='1.0', py_modules=['ktool'])\n"})
	learns, _ = rootlab.SDist(t, "klearns", "1.0", map[string]string{"pyproject.toml": backend, "klearns.py": "",
		"setup.py": "from setuptools import setup\nsetup(name='klearns', version='1.0', py_modules=['klearns'], setup_requires=['ktool'])\n"})
	return tool, learns
}

// bound are those that another Python needs anew: by tags, or because their
// sources do not promise the same dependencies for each.
var bound = []string{"kc", "kdynamic", "klearns", "kneeds311", "kneeds313"}

// TestEachKindOnEachPlatform builds them for two platforms with different Pythons
// and libcs, and has pip and uv install them from one index each, of wheels alone.
// Then the older root becomes the newer one: what is bound to its Python is built
// anew, and nothing else.
func TestEachKindOnEachPlatform(t *testing.T) {
	rootlab.NeedSandbox(t)
	set, _ := rootlab.Set(t)
	m := newMill(t)
	m.uv = rootlab.UV(t, set)
	m.offer(set)
	var pins []string
	for name, files := range kinds {
		all := map[string]string{"pyproject.toml": backend}
		for file, text := range files {
			all[file] = text
		}
		path, _ := rootlab.SDist(t, name, "1.0", all)
		m.offerFile(path)
		pins = append(pins, name+"==1.0")
	}
	changing := m.link(0)
	needed, learns := tool(t)
	m.offerFile(needed)
	m.offerFile(learns)
	m.want(append(pins, "klearns==1.0"))
	m.serve()
	m.spawn()
	if w := m.Cycle().Mirrors[1]; w.Outcome != workflows.Done {
		t.Fatalf("%+v", w)
	}
	states := m.states()
	for i, p := range m.platforms() {
		for name := range kinds {
			s := states[p+" "+name+"===1.0"]
			if s.State != "built" || s.From != "" && name != "kpure" {
				t.Errorf("%+v", s)
			}
		}
		m.imports(p, []string{rootlab.Debian12, rootlab.Debian13}[i], "")
	}
	// The index has learned what a build lacked: that one is built, and nothing else.
	for _, p := range m.platforms() {
		m.failed(states[p+" klearns===1.0"], "dependency")
	}
	for _, w := range m.Cycle().Mirrors[1].Wheels {
		if w.Built != 1 || w.Failed != 0 {
			t.Errorf("once the index has what a build lacked: %+v", w)
		}
	}
	m.quiet()

	before := m.begun(changing)
	m.relink(changing, rootlab.Debian13)
	m.Spec.Mirrors[1].Platforms[0].Python = rootlab.Platforms[rootlab.Debian13].Python
	if w := m.Cycle().Mirrors[1]; w.Outcome != workflows.Done || w.Wheels[0].Built != len(bound) || w.Wheels[1].Built != 0 {
		t.Errorf("with a new Python: %+v", w)
	}
	var again []string
	for pin, n := range m.begun(changing) {
		if n != before[pin] {
			name, _, _ := strings.Cut(pin, "===")
			again = append(again, name)
		}
	}
	if slices.Sort(again); !slices.Equal(again, bound) {
		t.Errorf("for a new Python %v were built, want %v", again, bound)
	}
	m.imports(changing, rootlab.Debian13, rootlab.Debian12)
	m.quiet()
}

// imports installs the kinds with pip and uv on a platform that is a root now, and
// whose library for ctypes was built on another one, if any, and imports them.
func (m *mill) imports(platform, root, library string) {
	m.t.Helper()
	_, libc, _ := strings.Cut(rootlab.Platforms[cmp.Or(library, root)].Version, ".")
	python := strings.ReplaceAll(rootlab.Platforms[root].Python, ".", "")
	for client, installer := range map[string]string{"pip": "/tmp/v/bin/pip install --quiet --no-cache-dir", "uv": "/opt/uv pip install --quiet --no-cache --python /tmp/v/bin/python"} {
		script := "python3 -m venv /tmp/v\n" + installer + " --only-binary :all: --index-url " + m.Regions["here"].URL + "/wheels/" + platform + "/simple/ kpure kc kabi kctypes kdynamic\n" +
			fmt.Sprintf("cd /tmp; /tmp/v/bin/python -c 'import kpure, kc, kabi, kctypes, kdynamic, kneeds%s; assert kctypes.built == %s, kctypes.built'\n", python, libc)
		if out, err := rootlab.Enter(m.roots[platform], script, map[string]string{"/opt/uv": m.uv}).CombinedOutput(); err != nil {
			m.t.Errorf("%s on %s: %v\n%s", client, platform, err, out)
		}
	}
}
