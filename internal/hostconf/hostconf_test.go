package hostconf_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/mirrorspec"
)

var update = flag.Bool("update", false, "rewrite what is wanted")

// TestMachines writes specs for the machines of testdata: the files below root,
// and the spec that is wanted. All of them are valid specs.
func TestMachines(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			root, want := t.TempDir(), ""
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				full := filepath.Join(root, f.Name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, f.Data, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			found := hostconf.Read(root)
			found.KeyDir = "/etc/mirrorcycle"
			got, err := found.Spec(hostconf.Apt, hostconf.Python, hostconf.Yum)
			if err != nil {
				t.Fatal(err)
			}
			if _, faults := mirrorspec.Parse("mirrors.toml", got); len(faults) > 0 {
				t.Error(faults)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" && !*update {
				t.Error(diff)
			}
			if *update {
				a.Files[len(a.Files)-1] = txtar.File{Name: "want", Data: got}
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestAMachineWithoutSources(t *testing.T) {
	if _, err := hostconf.Read(t.TempDir()).Spec(hostconf.Apt, hostconf.Python); !errors.Is(err, fault.Config) {
		t.Error(err)
	}
}

// TestNoSecretIsCopied: credentials stand in sources, and a spec is read by many.
func TestNoSecretIsCopied(t *testing.T) {
	f := hostconf.Found{Architecture: "amd64", Sources: hostconf.ParseList("deb https://user:hunter2@archive.example.org/debian stable main\n"),
		Indexes: hostconf.ParsePip("[global]\nindex-url = https://user:hunter2@index.example.org/simple\n")}
	text, err := f.Spec(hostconf.Apt, hostconf.Python)
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("%v\n%s", err, text)
	}
}

func fuzz(f *testing.F, read func(string) hostconf.Found, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := read(text)
		found.Architecture = "amd64"
		spec, err := found.Spec(hostconf.Apt, hostconf.Python)
		var faults mirrorspec.Faults
		if err != nil && !errors.As(err, &faults) && !errors.Is(err, fault.Config) {
			t.Errorf("%v\n%s", err, spec)
		}
	})
}

func FuzzList(f *testing.F) {
	fuzz(f, func(s string) hostconf.Found { return hostconf.Found{Sources: hostconf.ParseList(s)} },
		"deb [arch=amd64,arm64 signed-by=/k.gpg] http://a.example.org/debian stable main\n", "deb-src http://a.example.org ./\n", "deb [ http", "# deb x y z")
}

func FuzzDeb822(f *testing.F) {
	fuzz(f, func(s string) hostconf.Found { return hostconf.Found{Sources: hostconf.ParseDeb822(s)} },
		"Types: deb deb-src\nURIs: http://a.example.org/debian\nSuites: a b\nComponents: main\nSigned-By:\n -----BEGIN\n .\n", "Enabled: no\nTypes: deb\nURIs: x", " x\n:\n")
}

func FuzzPip(f *testing.F) {
	fuzz(f, func(s string) hostconf.Found { return hostconf.Found{Indexes: hostconf.ParsePip(s)} },
		"[global]\nindex-url: https://a.example.org/simple/\nextra-index-url =\n  https://b.example.org/simple\n  https://c.example.org\n", "[x]\nindex_url=y")
}

func FuzzUV(f *testing.F) {
	fuzz(f, func(s string) hostconf.Found { return hostconf.Found{Indexes: hostconf.ParseUV(s)} },
		"index-url = \"https://a.example.org/simple\"\n[[index]]\nurl = \"https://b.example.org/simple\"\n", "index = 7")
}
