package mirror

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/mirrorspec"
)

// ClientFiles returns the files by which clients use mirrors of a region, by
// their path below /config/. Keyrings that are not given are read on this host.
// One that is missing, or holds what must not be shown, is an error: the sources
// that trust it must not go. dir holds the mirrors as they are now, so that files
// ask for signatures only where upstream signs; empty is for unknown.
func ClientFiles(r mirrorspec.Region, mirrors []mirrorspec.Mirror, keyrings map[string][]byte, dir string) (map[string][]byte, error) {
	o := clientfiles.Options{Region: r, Mirrors: mirrors, Keyrings: maps.Clone(keyrings), Kinds: func(k mirrorspec.Kind) clientfiles.Kind { return kinds[k].Clients }}
	if o.Keyrings == nil {
		o.Keyrings = map[string][]byte{}
	}
	if dir != "" {
		o.Signed = clientfiles.Below(dir)
	}
	for _, m := range mirrors {
		if _, given := keyrings[m.Name]; given || m.Keyring == "" { // only signed kinds have one
			continue
		}
		data, err := clientfiles.ReadKeyring(m.Keyring)
		if err != nil {
			return nil, &KeyringError{m.Name, err}
		}
		o.Keyrings[m.Name] = data
	}
	return clientfiles.For(o), nil
}

// KeyringError names the mirror whose keyring cannot be given to clients.
type KeyringError struct {
	Mirror string
	Err    error
}

func (e *KeyringError) Error() string {
	return "mirror: read keyring of " + e.Mirror + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *KeyringError) Unwrap() error { return e.Err }

// Keyring reads the keys that clients of a mirror trust.
func Keyring(m mirrorspec.Mirror) ([]byte, error) {
	if m.Keyring == "" {
		return nil, errors.New("mirror: it has no keyring")
	}
	return clientfiles.ReadKeyring(m.Keyring)
}

// Init writes a spec of mirrors of what a machine uses.
func Init(found hostconf.Found) ([]byte, error) {
	var parts []hostconf.Part
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		if part := kinds[k].Init; part != nil {
			parts = append(parts, part)
		}
	}
	return found.Spec(parts...)
}

// Hints says what to type to try a mirror, which is served at url.
func Hints(s mirrorspec.Storage, m mirrorspec.Mirror, url string) []string {
	if hint := kinds[m.Kind].Hint; hint != nil {
		return hint(m, Tree(s, m).Dir, url)
	}
	return nil
}

func aptHint(m mirrorspec.Mirror, _, url string) []string {
	return []string{fmt.Sprintf("deb [signed-by=%s] %s %s %s", m.Keyring, url, m.Suites[0], strings.Join(m.ComponentsOf(m.Suites[0]), " "))}
}

func yumHint(m mirrorspec.Mirror, _, url string) []string {
	return []string{"baseurl=" + url + "/" + strings.TrimSuffix(m.Repos[0], ".")}
}

// pypiHint names a project that the mirror has, if it has any.
func pypiHint(_ mirrorspec.Mirror, tree, url string) []string {
	project := "PROJECT"
	if all, err := filepath.Glob(filepath.Join(tree, "simple", "*", "index.html")); err == nil && len(all) > 0 {
		project = filepath.Base(filepath.Dir(all[0]))
	}
	return []string{fmt.Sprintf("pip download --no-deps --index-url %s/simple/ %s", url, project)}
}

func wheelsHint(m mirrorspec.Mirror, _, url string) (all []string) {
	for _, p := range m.Platforms {
		all = append(all, fmt.Sprintf("pip install --only-binary :all: --index-url %s/%s/simple/ PROJECT    on %s", url, p.Name, p.Name))
	}
	return all
}
