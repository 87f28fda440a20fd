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
		text, err := f.Spec()
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
	if text, err := f.Spec(); err != nil || !strings.Contains(string(text), `keyring = "/etc/mirrorcycle/x-upstream.asc"`) {
		t.Errorf("%v\n%s", err, text)
	}
	f.KeyDir = ""
	if text, err := f.Spec(); err == nil || len(f.Keys()) > 0 {
		t.Errorf("%v\n%s", err, text)
	}
}
