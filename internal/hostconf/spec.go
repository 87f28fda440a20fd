package hostconf

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Part writes the mirrors of one kind that a machine uses, and says what it
// left out, and why.
type Part func(Found) (mirrors, left []string)

// Spec writes a spec that mirrors what was found, to be looked at by a person.
// The error is fault.Config if there is nothing that can be mirrored.
func (f Found) Spec(parts ...Part) ([]byte, error) {
	var b strings.Builder
	b.WriteString(head)
	n := 0
	var left []string
	for i, part := range parts {
		mirrors, why := part(f)
		n += len(mirrors)
		b.WriteString(strings.Join(mirrors, ""))
		if left = append(left, why...); i == 0 {
			left = append(left, f.Left...)
		}
	}
	for i, why := range left {
		if i == 0 {
			b.WriteString("\n# Left out:\n")
		}
		b.WriteString("# - " + strings.Map(printable, why) + "\n")
	}
	if n == 0 {
		return nil, &fault.Error{Kind: fault.Config, Op: "init: read", Subject: "this machine's sources", Err: errors.New(strings.Join(append([]string{"no apt or yum source and no Python index that can be mirrored"}, left...), "; ")),
			Advice: "write a spec by hand: docs/spec.md"}
	}
	text := []byte(b.String())
	if _, faults := mirrorspec.Parse("mirrors.toml", text); len(faults) > 0 {
		return text, faults
	}
	return text, nil
}

// Apt is the part of apt's sources.
func Apt(f Found) (mirrors, left []string) {
	groups, left := f.groups()
	for _, g := range groups {
		var b strings.Builder
		f.apt(&b, g)
		mirrors = append(mirrors, b.String())
	}
	return mirrors, left
}

// Python is the part of pip's and uv's indexes.
func Python(f Found) (mirrors, left []string) {
	taken := map[string]bool{}
	for _, i := range f.Indexes {
		root, ok := clean(i)
		if !ok {
			scheme, _, _ := strings.Cut(i, ":")
			left = append(left, fmt.Sprintf("a Python index: %.20q is no http or https index", scheme))
		}
		if ok && !taken[root] {
			taken[root] = true
			var b strings.Builder
			python(&b, root, len(taken), strings.Contains(i, "@"))
			mirrors = append(mirrors, b.String())
		}
	}
	return mirrors, left
}

const head = `# Written by starter init from this machine's sources. Look at it, then: starter validate, starter up.
[cycle]
name = "mirrors"
every = "2h"

[storage]
name = "main"
root = "/srv/mirror/trees"
state = "/srv/mirror/state"
min-free = "10GB"

[[region]]
name = "local"
dir = "/srv/mirror/local"
url = "http://127.0.0.1:8081" # what clients use
`

// login is said where a source has one, which a spec may not hold.
const login = "# The source has a login: write it into a file of mode 0600, as \"machine HOST login NAME password PASSWORD\", and name it:\n# netrc = \"/etc/mirrorcycle/netrc\"\n"

// printable keeps a comment in its line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r == unicode.ReplacementChar {
		return '?'
	}
	return r
}

// python writes the mirror of an index; one that is called simple is found below its upstream.
func python(b *strings.Builder, root string, n int, withLogin bool) {
	name := "pypi"
	if n > 1 {
		name = fmt.Sprintf("pypi-%d", n)
	}
	fmt.Fprintf(b, "\n[[mirror]]\nname = %q\nkind = \"pypi\"\n", name)
	if upstream, ok := strings.CutSuffix(root, "/simple"); ok {
		fmt.Fprintf(b, "upstream = [%q]\n", upstream)
	} else {
		fmt.Fprintf(b, "index = %q\n", root)
	}
	b.WriteString("# Names and globs of what you need: a whole index is tens of terabytes.\nprojects = [\"pip\", \"setuptools\", \"wheel\"]\n")
	if withLogin {
		b.WriteString(login)
	}
}

func keyFile(name string) string { return name + "-upstream.asc" }

// Keys are the keys that stand inside sources, by the name of the file in KeyDir
// in which the spec looks for them.
func (f Found) Keys() map[string][]byte {
	keys := map[string][]byte{}
	groups, _ := f.groups()
	for _, g := range groups {
		if g.Key != "" {
			keys[keyFile(g.name)] = []byte(g.Key)
		}
	}
	return keys
}

func (f Found) apt(b *strings.Builder, g group) {
	architectures := g.Architectures
	if len(architectures) == 0 {
		architectures = []string{f.Architecture}
	}
	flat := !slices.ContainsFunc(g.Suites, func(s string) bool { return !strings.HasSuffix(s, "/") })
	fmt.Fprintf(b, "\n[[mirror]]\nname = %q\nkind = \"apt\"\nupstream = %s\nsuites = %s\n", g.name, list(g.URIs), g.suites())
	if !flat {
		fmt.Fprintf(b, "components = %s\n", list(g.Components))
	}
	fmt.Fprintf(b, "architectures = %s\n", list(architectures))
	if g.Source.Source && g.both {
		b.WriteString("sources = true\n")
	} else if g.Source.Source {
		b.WriteString("indexes = [\"sources\"]\n")
	}
	if g.login {
		b.WriteString(login)
	}
	if g.many {
		b.WriteString("# Its source has several URLs. If they are copies of one archive, make one mirror of them, with all in upstream.\n")
	}
	keyring, sure := f.keyring(g)
	if !sure {
		b.WriteString("# The source names no keyring: check that this one has the archive's keys.\n")
	}
	fmt.Fprintf(b, "keyring = %q\n", keyring)
}

// keyring is the one that the source names, else the one that is called like
// the archive, else any that apt trusts.
func (f Found) keyring(g group) (path string, sure bool) {
	if g.Key != "" {
		return filepath.Join(f.KeyDir, keyFile(g.name)), true
	}
	if g.SignedBy != "" {
		return g.SignedBy, true
	}
	family, _, _ := strings.Cut(g.name, "-")
	for _, k := range f.Keyrings {
		if strings.Contains(k, "/"+family+"-") {
			return k, false
		}
	}
	return cmp.Or(append(f.Keyrings, "/usr/share/keyrings/archive-keyring.gpg")[0], ""), false
}

// suites are the group's suites; one with other components than all together is
// a table of its own.
func (g group) suites() string {
	var all []string
	for _, suite := range g.Suites {
		text := fmt.Sprintf("%q", suite)
		if own := g.per[suite]; !strings.HasSuffix(suite, "/") && len(union(own, g.Components)) > len(own) {
			text = fmt.Sprintf("{ name = %q, components = %s }", suite, list(own))
		}
		all = append(all, text)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func list(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
