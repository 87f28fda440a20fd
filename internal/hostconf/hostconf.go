// Package hostconf reads which package sources a machine uses, and writes a spec that mirrors them.
//
// It reads apt's sources in both forms (sources.list(5)), .repo files with dnf's
// variables, pip.conf and uv.toml of the system and of root, and nothing else: it asks no server.
package hostconf

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Source is an entry of apt's sources.
type Source struct {
	URIs, Suites, Components, Architectures []string
	SignedBy                                string // a path, or "" where it names none
	Key                                     string // armored, where the source holds its key itself
	Trusted                                 bool   // without any signature
	Source                                  bool   // deb-src
	At                                      string // file:line, or file
}

// Found is what a machine uses.
type Found struct {
	Sources      []Source
	Indexes      []string // of Python packages, in the order of preference
	Left         []string // what cannot be mirrored, and why
	KeyDir       string   // where who writes the spec writes Keys; "" is nowhere
	Architecture string   // as dpkg calls it
	Keyrings     []string // that apt trusts for every source

	Repos                    []Repo // of dnf and zypper
	Release, RpmArchitecture string // what these put for $releasever and $basearch
}

// Read reads the configuration below root, which is "/" for this machine. What
// cannot be read or understood is left out, as apt and pip do with most of it.
func Read(root string) Found {
	found := Found{Architecture: map[string]string{"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}[runtime.GOARCH]}
	found.Architecture = cmp.Or(found.Architecture, runtime.GOARCH)
	if data := read(root, "var/lib/dpkg/arch"); data != "" {
		found.Architecture = strings.Fields(data + " ")[0]
	}
	for _, f := range files(root, "etc/apt/sources.list", "etc/apt/sources.list.d/*.list") {
		found.Sources = append(found.Sources, at(f, ParseList(read(root, f)))...)
	}
	for _, f := range files(root, "etc/apt/sources.list.d/*.sources") {
		found.Sources = append(found.Sources, at(f, ParseDeb822(read(root, f)))...)
	}
	for _, f := range files(root, "usr/share/keyrings/*-archive-keyring.gpg", "etc/apt/trusted.gpg.d/*.gpg", "etc/apt/trusted.gpg.d/*.asc") {
		found.Keyrings = append(found.Keyrings, "/"+f)
	}
	rpms := readRpmMachine(root)
	found.Repos, found.Release, found.RpmArchitecture = rpms.repos(root), rpms.release, rpms.arch
	for _, f := range files(root, "root/.config/uv/uv.toml", "etc/uv/uv.toml") {
		found.Indexes = append(found.Indexes, ParseUV(read(root, f))...)
	}
	for _, f := range files(root, "root/.config/pip/pip.conf", "root/.pip/pip.conf", "etc/xdg/pip/pip.conf", "etc/pip.conf") {
		found.Indexes = append(found.Indexes, ParsePip(read(root, f))...)
	}
	return found
}

// at completes where sources stand.
func at(file string, all []Source) []Source {
	for i := range all {
		all[i].At = "/" + file + all[i].At
	}
	return all
}

// files lists what matches below root, relative to it.
func files(root string, patterns ...string) (out []string) {
	for _, p := range patterns {
		all, _ := filepath.Glob(filepath.Join(root, p))
		for _, f := range all {
			rel, _ := filepath.Rel(root, f)
			out = append(out, rel)
		}
	}
	return out
}

// maxFile is far above any configuration.
const maxFile = 4 << 20

func read(root, name string) string {
	full := filepath.Join(root, name)
	if info, err := os.Stat(full); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return ""
	}
	data, _ := os.ReadFile(full)
	return string(data)
}

// clean returns a URL as a spec takes it: http or https, without credentials
// and slash at its end; ok is false for any other.
func clean(raw string) (out string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", false
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return strings.TrimRight(u.String(), "/"), true
}

// group is all sources of one archive that are trusted by the same keys.
type group struct {
	Source
	name  string
	login bool                // a source has one in its URL
	both  bool                // there are binary packages, too
	many  bool                // a source has other URLs beside this one
	per   map[string][]string // components by suite
}

// groups puts sources of one archive together and names them, and says of the
// others why not.
func (f Found) groups() (out []group, left []string) {
	taken := map[string]bool{"pypi": true}
	for _, s := range f.Sources {
		uris, login, why := f.usable(&s)
		if why != "" {
			left = append(left, strings.TrimPrefix(s.At+": ", ": ")+why)
		}
		for _, uri := range uris {
			out = s.join(out, uri, login, taken)
		}
	}
	return out, left
}

// join puts what a source has at one URL into the group of its archive. Several
// URLs of one source are archives of their own, as they are to apt.
func (s Source) join(out []group, uri string, login bool, taken map[string]bool) []group {
	i := slices.IndexFunc(out, func(g group) bool {
		return g.URIs[0] == uri && g.Key == s.Key && (g.SignedBy == s.SignedBy || g.SignedBy == "" || s.SignedBy == "")
	})
	if i < 0 {
		i = len(out)
		out = append(out, group{name: name(uri, taken), per: map[string][]string{}})
	}
	g := &out[i]
	for _, suite := range s.Suites {
		g.per[suite] = union(g.per[suite], s.Components)
	}
	g.URIs, g.Suites, g.Components = []string{uri}, union(g.Suites, s.Suites), union(g.Components, s.Components)
	g.Architectures, g.SignedBy, g.Key = union(g.Architectures, s.Architectures), cmp.Or(g.SignedBy, s.SignedBy), s.Key
	g.many = g.many || len(s.URIs) > 1
	g.Source.Source, g.both, g.login = g.Source.Source || s.Source, g.both || !s.Source, g.login || login
	return out
}

// usable returns the URLs of a source that can be mirrored, with its suites as a
// spec writes them, and why others, or all, cannot.
func (f Found) usable(s *Source) (uris []string, login bool, why string) {
	switch {
	case len(s.Suites) == 0:
		return nil, false, "it names no suite"
	case s.Trusted && s.SignedBy == "" && s.Key == "":
		return nil, false, "it is trusted without a signature, so nothing of it could be proved"
	case s.Key != "" && f.KeyDir == "":
		return nil, false, "its key stands inside it: write the spec to a file, and the key is written beside it"
	}
	for _, raw := range s.URIs {
		c, ok := clean(strings.ReplaceAll(raw, "$(ARCH)", f.Architecture))
		if !ok {
			scheme, _, _ := strings.Cut(raw, ":")
			why = fmt.Sprintf("%.20q is no http or https", scheme)
			continue
		}
		u, _ := url.Parse(raw)
		login = login || u != nil && u.User != nil
		uris = union(uris, []string{c})
	}
	suites := []string{}
	for _, suite := range s.Suites {
		suites = union(suites, []string{flat(strings.ReplaceAll(suite, "$(ARCH)", f.Architecture))})
	}
	s.Suites = suites
	s.Architectures = slices.DeleteFunc(slices.Clone(s.Architectures), func(a string) bool { return a == "all" })
	return uris, login, why
}

// flat writes the directory of a flat repository as a spec has it: "/" and "./"
// are the root, "./a/" and "/a/" are "a/". A suite stays as it is.
func flat(suite string) string {
	if !strings.HasSuffix(suite, "/") {
		return suite
	}
	if dir := strings.Trim(path.Clean("/"+suite), "/"); dir != "" {
		return dir + "/"
	}
	return "./"
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// name makes a mirror's name of an archive's URL: its last directory, or its host.
func name(raw string, taken map[string]bool) string {
	u, _ := url.Parse(raw)
	base := path.Base(u.Path)
	if base == "." || base == "/" {
		base, _, _ = strings.Cut(u.Hostname(), ".")
	}
	base = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, base), "-")
	base = cmp.Or(base[:min(len(base), 40)], "archive")
	out := base
	for n := 'b'; taken[out] && n <= 'z'; n++ {
		out = base + "-" + string(n)
	}
	taken[out] = true
	return out
}
