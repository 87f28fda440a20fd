package hostconf_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/hostconf"
)

// TestSuitesOfFlatRepositories are written as a spec takes them.
func TestSuitesOfFlatRepositories(t *testing.T) {
	for in, want := range map[string]string{"/": "./", "./": "./", "./a/": "a/", "/a/b/": "a/b/", "a//": "a/", "$(ARCH)/": "amd64/", "stable": "stable"} {
		f := hostconf.Found{Architecture: "amd64", Sources: hostconf.ParseList("deb [signed-by=/k.gpg] http://a.example.org/x " + in + " main\n")}
		text, err := f.Spec(hostconf.Apt, hostconf.Python)
		if err != nil || !strings.Contains(string(text), `suites = ["`+want+`"]`) {
			t.Errorf("%s: %v\n%s", in, err, text)
		}
	}
}

// TestKeysInsideSources are written out whole, and only where there is a place for them.
func TestKeysInsideSources(t *testing.T) {
	sources := hostconf.ParseDeb822("Types: deb\nURIs: http://a.example.org/x\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQENBF\n =abcd\n -----END PGP PUBLIC KEY BLOCK-----\n")
	f := hostconf.Found{Architecture: "amd64", Sources: sources, KeyDir: "/etc/mirrorcycle"}
	const key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
	if got := string(f.Keys()["x-upstream.asc"]); got != key {
		t.Errorf("%q", got)
	}
	if text, err := f.Spec(hostconf.Apt, hostconf.Python); err != nil || !strings.Contains(string(text), `keyring = "/etc/mirrorcycle/x-upstream.asc"`) {
		t.Errorf("%v\n%s", err, text)
	}
	f.KeyDir = ""
	if text, err := f.Spec(hostconf.Apt, hostconf.Python); err == nil || len(f.Keys()) > 0 {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestIndexesOfAnyName: what pip and uv read may be called simple or not.
func TestIndexesOfAnyName(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example.org/simple/":             `upstream = ["https://a.example.org"]`,
		"https://a.example.org/root/pypi/+simple/":  `index = "https://a.example.org/root/pypi/+simple"`,
		"https://a.example.org/whl/cu121":           `index = "https://a.example.org/whl/cu121"`,
		"https://user:hunter2@a.example.org/simple": `# netrc = `,
	} {
		f := hostconf.Found{Architecture: "amd64", Indexes: []string{in}}
		text, err := f.Spec(hostconf.Apt, hostconf.Python)
		if err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: %v\n%s", in, err, text)
		}
	}
}
