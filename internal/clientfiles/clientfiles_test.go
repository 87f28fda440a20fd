package clientfiles_test

import (
	"bytes"
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/need"
	"mirrorcycle/mirrorspec"
)

var update = flag.Bool("update", false, "rewrite golden files")

func kinds(k mirrorspec.Kind) clientfiles.Kind {
	return map[mirrorspec.Kind]clientfiles.Kind{mirrorspec.Apt: clientfiles.Apt, mirrorspec.Yum: clientfiles.Yum, mirrorspec.PyPI: clientfiles.PyPI, mirrorspec.Wheels: clientfiles.Wheels}[k]
}

func options(url string) clientfiles.Options {
	return clientfiles.Options{
		Kinds:  kinds,
		Region: mirrorspec.Region{Name: "dfw", URL: url},
		Mirrors: []mirrorspec.Mirror{
			{Name: "ubuntu", Kind: mirrorspec.Apt, Suites: []string{"jammy", "jammy-updates", "noble", "noble-security"}, Components: []string{"main", "universe"}, Architectures: []string{"amd64"},
				Indexes: []string{"all", "sources"}, Translations: []string{"all"}, SuiteComponents: map[string][]string{"noble-security": {"main"}}},
			{Name: "debian-security", Kind: mirrorspec.Apt, Suites: []string{"bookworm-security", "bullseye/updates"}, Components: []string{"main"}, Architectures: []string{"amd64", "arm64"},
				Indexes: []string{"packages", "translations", "pdiffs"}, Translations: []string{"en", "de"}, IgnoreValidUntil: true},
			{Name: "tools", Kind: mirrorspec.Apt, Suites: []string{"./", "extra/"}, Architectures: []string{"all"}},
			{Name: "unsigned", Kind: mirrorspec.Apt, Suites: []string{"noble"}, Components: []string{"main"}},
			{Name: "pypi", Kind: mirrorspec.PyPI},
			{Name: "wheels", Kind: mirrorspec.Wheels, Platforms: []mirrorspec.Platform{{Name: "debian-12-x86_64"}}},
		},
		Keyrings: map[string][]byte{"ubuntu": []byte("binary keys\n"), "debian-security": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), "tools": []byte("other keys\n")},
	}
}

func TestFiles(t *testing.T) {
	files := clientfiles.For(options("http://mirror.dfw.example.org:8080"))
	a := new(txtar.Archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		if name == "install.sh" {
			data = append(bytes.Join(bytes.SplitAfterN(data, []byte("\n"), 7)[:6], nil), "…\n"...)
		}
		a.Files = append(a.Files, txtar.File{Name: name, Data: data})
	}
	got := txtar.Format(a)
	const golden = "testdata/dfw.txtar"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingForNobody(t *testing.T) {
	if files := clientfiles.For(clientfiles.Options{Region: mirrorspec.Region{Name: "dfw", URL: "http://mirror.example.org"}}); len(files) > 0 {
		t.Errorf("%v", slices.Collect(maps.Keys(files)))
	}
	o := options("https://mirror.example.org")
	if pip := clientfiles.For(o)["pip/pypi/pip.conf"]; bytes.Contains(pip, []byte("trusted-host")) {
		t.Error("https needs no trust beside its certificate")
	}
}

// machine is a root directory that install.sh works on.
type machine struct {
	t      *testing.T
	root   string
	script []byte
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	_, noCurl := exec.LookPath("curl")
	_, noWget := exec.LookPath("wget")
	need.That(t, noCurl == nil || noWget == nil, "neither curl nor wget is installed")
	var files map[string][]byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[strings.TrimPrefix(r.URL.Path, "/it's/config/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	files = clientfiles.For(options(s.URL + "/it's")) // a quote must not end the script's
	m := &machine{t: t, root: t.TempDir(), script: files["install.sh"]}
	m.put("etc/os-release", "PRETTY_NAME=\"Something 24.04\"\nVERSION_CODENAME=noble\n")
	return m
}

func (m *machine) put(name, text string) {
	m.t.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) run(args ...string) (string, error) {
	cmd := exec.Command("sh", append([]string{"-s", "--", "--root", m.root}, args...)...)
	cmd.Stdin = bytes.NewReader(m.script)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// files lists what is below etc/apt, etc/pip.conf and etc/uv.
func (m *machine) files() (all []string) {
	for _, pattern := range []string{"etc/apt/*/*", "etc/pip*", "etc/uv/*"} {
		found, err := filepath.Glob(filepath.Join(m.root, pattern))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, f := range found {
			rel, _ := filepath.Rel(m.root, f)
			all = append(all, rel)
		}
	}
	return all
}

func TestInstaller(t *testing.T) {
	ubuntu := []string{"etc/apt/apt.conf.d/80mirrors.conf", "etc/apt/keyrings/ubuntu-mirror.gpg", "etc/apt/sources.list.d/ubuntu-noble.sources"}
	for name, tc := range map[string]struct {
		args, want []string
		fails      string
	}{
		"this machine's distribution": {args: []string{"ubuntu"}, want: ubuntu},
		"another one":                 {args: []string{"--dist", "bookworm", "debian-security"}, want: []string{"etc/apt/apt.conf.d/80mirrors.conf", "etc/apt/keyrings/debian-security-mirror.asc", "etc/apt/sources.list.d/debian-security-bookworm.sources"}},
		"no distribution at all":      {args: []string{"tools"}, want: []string{"etc/apt/apt.conf.d/80mirrors.conf", "etc/apt/keyrings/tools-mirror.gpg", "etc/apt/sources.list.d/tools-flat.sources"}},
		"several mirrors":             {args: []string{"ubuntu", "pypi"}, want: append(slices.Clone(ubuntu), "etc/pip.conf", "etc/uv/uv.toml")},
		"wheels":                      {args: []string{"wheels/debian-12-x86_64"}, want: []string{"etc/pip.conf", "etc/uv/uv.toml"}},
		"none":                        {fails: "noble/ubuntu"},
		"one that is not there":       {args: []string{"fedora"}, fails: "there is no mirror fedora for noble"},
		"one of another distribution": {args: []string{"debian-security"}, fails: "there is no mirror debian-security for noble"},
		"an unknown option":           {args: []string{"--yes"}, fails: "unknown option --yes"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			out, err := m.run(tc.args...)
			if (err != nil) != (tc.fails != "") || !strings.Contains(out, tc.fails) {
				t.Fatalf("%v\n%s", err, out)
			}
			if diff := cmp.Diff(tc.want, m.files()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInstallerKeepsWhatWasThere(t *testing.T) {
	m := newMachine(t)
	m.put("etc/pip.conf", "[global]\nindex-url = http://old.example.org/\n")
	for range 2 {
		if out, err := m.run("pypi"); err != nil {
			t.Fatal(out)
		}
	}
	old, err := os.ReadFile(filepath.Join(m.root, "etc/pip.conf.before-mirror"))
	if err != nil || !strings.Contains(string(old), "old.example.org") {
		t.Errorf("%q %v", old, err)
	}
	if diff := cmp.Diff([]string{"etc/pip.conf", "etc/pip.conf.before-mirror", "etc/uv/uv.toml"}, m.files()); diff != "" {
		t.Error(diff)
	}
}
