// Package clientfiles writes the files by which apt, pip and uv use the mirrors of a region.
//
// A region serves them below /config/, and starter client-config prints them:
//
//	apt/<distribution>/<mirror>.sources    deb822, for apt 1.1 and newer (sources.list(5))
//	apt/<distribution>/<mirror>.list       the same, one line each
//	apt/<mirror>-mirror.gpg                the keys that both trust; .asc if they are armored
//	apt/80mirrors.conf                     settings that help through flips (apt.conf(5))
//	pip/<mirror>/pip.conf                  with /<platform> before the name for wheels
//	uv/<mirror>/uv.toml                    the same
//	yum/<mirror>.repo                      a section for each repository, for dnf and zypper (dnf.conf(5))
//	yum/<mirror>-mirror.asc                the keys that it trusts
//	install.sh                             puts what fits a machine into its place
package clientfiles

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/mirrorspec"
)

// Options say for whom files are made.
type Options struct {
	Region  mirrorspec.Region
	Mirrors []mirrorspec.Mirror
	// Signed says whether a file that upstream may have is there, by its path in the mirror: what is
	// signed decides what clients check. Nil if that cannot be told here.
	Signed   func(mirror, path string) bool
	Keyrings map[string][]byte // of apt mirrors, by name; one without gets no apt files, since nothing would be trusted
	Kinds    func(mirrorspec.Kind) Kind
}

// Kind writes the files of one mirror; nil is for a kind that has none.
type Kind func(*Writer, mirrorspec.Mirror)

// The kinds of this room.
var (
	Apt    Kind = (*Writer).apt
	Yum    Kind = (*Writer).yum
	PyPI   Kind = func(w *Writer, m mirrorspec.Mirror) { w.python(m.Name, m.Name) }
	Wheels Kind = func(w *Writer, m mirrorspec.Mirror) {
		for _, p := range m.Platforms {
			w.python(path.Join(m.Name, p.Name), path.Join(m.Name, p.Name))
		}
	}
)

// ReadKeyring reads the keys that a mirror trusts, for clients to trust the same:
// public keys in binary form and nothing else that the file may hold. A file that
// holds a secret key or no key is fault.Config.
func ReadKeyring(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return debrepo.PublicKeys(data)
}

// For returns the client files by their path below /config/.
func For(o Options) map[string][]byte {
	w := writer{Options: o, files: map[string][]byte{}}
	for _, m := range o.Mirrors {
		if write := o.Kinds(m.Kind); write != nil {
			write(&w, m)
		}
	}
	if len(w.files) > 0 {
		w.installer()
	}
	return w.files
}

// Writer is what a Kind writes with.
type Writer = writer

// Put adds a file, named by its path below /config/.
func (w *writer) Put(name, text string) { w.files[name] = []byte(w.by() + text) }

type writer struct {
	Options
	files map[string][]byte
	dists map[string][]string // mirrors by distribution
	keys  map[string]string   // base names of the keyrings by mirror
	yums  []string            // yum mirrors that have files
	index []string            // of Python packages, as paths below the region
}

// by says who wrote a file, in the first line of each.
func (w *writer) by() string { return "# Region " + w.Region.Name + ", written by MirrorCycle.\n" }

func (w *writer) apt(m mirrorspec.Mirror) {
	keys := w.Keyrings[m.Name]
	if len(keys) == 0 {
		return
	}
	keyring := m.Name + "-mirror.gpg"
	if bytes.HasPrefix(bytes.TrimSpace(keys), []byte("-----BEGIN PGP")) {
		keyring = m.Name + "-mirror.asc" // apt goes by the suffix
	}
	w.files["apt/"+keyring] = keys
	if w.keys == nil {
		w.keys, w.dists = map[string]string{}, map[string][]string{}
		w.files["apt/"+settingsName] = []byte(strings.Replace(w.by(), "#", "//", 1) + settings)
	}
	w.keys[m.Name] = keyring
	for _, d := range Distributions(m.Suites) {
		w.dists[d.Name] = append(w.dists[d.Name], m.Name)
		s := source{url: w.Region.URL + "/" + m.Name, dist: d, mirror: m, keyring: "/etc/apt/keyrings/" + keyring}
		at := path.Join("apt", d.Name, m.Name)
		w.files[at+".sources"] = []byte(w.by() + s.deb822())
		w.files[at+".list"] = []byte(w.by() + s.lines())
	}
}

const settingsName = "80mirrors.conf"

// settings only repeat apt's defaults where images are known to differ.
const settings = `// Indexes are asked for by their digest: an update that meets the moment in which
// a mirror changes gets all of the old ones, or all of the new ones.
Acquire::By-Hash "yes";
// A connection that breaks is tried again.
Acquire::Retries "3";
// An update that did not get everything fails, instead of warning: repeat it.
APT::Update::Error-Mode "any";
`

// Distribution is a release of a distribution with its suites: noble, noble-updates.
type Distribution struct {
	Name   string
	Suites []string
}

// flat is where archives are found that are of no distribution.
const flat = "flat"

// Distributions groups suites by the part of their names before the first "-"
// or "/", as Debian, Ubuntu and their security archives name them.
func Distributions(suites []string) []Distribution {
	var out []Distribution
	for _, suite := range suites {
		name := flat
		if !strings.HasSuffix(suite, "/") {
			name = suite
			if i := strings.IndexAny(suite, "-/"); i > 0 {
				name = suite[:i]
			}
		}
		i := slices.IndexFunc(out, func(d Distribution) bool { return d.Name == name })
		if i < 0 {
			i = len(out)
			out = append(out, Distribution{Name: name})
		}
		out[i].Suites = append(out[i].Suites, suite)
	}
	return out
}

// source is what one mirror has of one distribution.
type source struct {
	url, keyring string
	dist         Distribution
	mirror       mirrorspec.Mirror
}

func (s source) types() string {
	switch {
	case !hasSources(s.mirror):
		return "deb"
	case !has(s.mirror, "packages"):
		return "deb-src"
	}
	return "deb deb-src"
}

func (s source) architectures() []string {
	return slices.DeleteFunc(slices.Clone(s.mirror.Architectures), func(a string) bool { return a == "source" || a == "all" })
}

// deb822 is one stanza for the suites of the same components.
func (s source) deb822() string {
	var groups [][]string
	for _, suite := range s.dist.Suites {
		i := slices.IndexFunc(groups, func(g []string) bool { return slices.Equal(s.mirror.ComponentsOf(g[0]), s.mirror.ComponentsOf(suite)) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], suite)
	}
	var all []string
	for _, suites := range groups {
		all = append(all, s.stanza(suites))
	}
	return strings.Join(all, "\n")
}

func (s source) stanza(suites []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: %s\nURIs: %s\nSuites: %s\n", s.types(), s.url, strings.Join(suites, " "))
	if s.dist.Name != flat {
		fmt.Fprintf(&b, "Components: %s\n", strings.Join(s.mirror.ComponentsOf(suites[0]), " "))
	}
	if a := s.architectures(); len(a) > 0 {
		fmt.Fprintf(&b, "Architectures: %s\n", strings.Join(a, " "))
	}
	for _, a := range asks(s.mirror) {
		fmt.Fprintf(&b, "%s: %s\n", a.field, a.value)
	}
	fmt.Fprintf(&b, "Signed-By: %s\n", s.keyring)
	return b.String()
}

func (s source) lines() string {
	var b strings.Builder
	var options []string
	if a := s.architectures(); len(a) > 0 {
		options = append(options, "arch="+strings.Join(a, ","))
	}
	for _, a := range asks(s.mirror) {
		options = append(options, a.option+"="+strings.ReplaceAll(a.value, " ", ","))
	}
	options = append(options, "signed-by="+s.keyring)
	for _, suite := range s.dist.Suites {
		for _, kind := range strings.Fields(s.types()) {
			what := suite
			if s.dist.Name != flat {
				what += " " + strings.Join(s.mirror.ComponentsOf(suite), " ")
			}
			fmt.Fprintf(&b, "%s [%s] %s %s\n", kind, strings.Join(options, " "), s.url, what)
		}
	}
	return b.String()
}

// python writes the files of one index, which is at a path below the region.
func (w *writer) python(name, at string) {
	index := w.Region.URL + "/" + at + "/simple/"
	pip := w.by() + "[global]\nindex-url = " + index + "\nretries = 5\n"
	if u, err := url.Parse(index); err == nil && u.Scheme == "http" {
		pip += "# pip wants to be told that http is meant.\ntrusted-host = " + u.Host + "\n"
	}
	w.files[path.Join("pip", name, "pip.conf")] = []byte(pip)
	w.files[path.Join("uv", name, "uv.toml")] = []byte(w.by() + fmt.Sprintf("[[index]]\nurl = %q\ndefault = true\n", index))
	w.index = append(w.index, name)
}
