package hostconf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Spec writes a spec that mirrors what was found, to be looked at by a person.
// The error is fault.Config if there is nothing that can be mirrored.
func (f Found) Spec() ([]byte, error) {
	var b strings.Builder
	b.WriteString(head)
	n := 0
	for _, g := range f.groups() {
		n++
		f.apt(&b, g)
	}
	taken := map[string]bool{}
	for _, i := range f.Indexes {
		upstream, ok := clean(strings.TrimSuffix(strings.TrimRight(i, "/"), "/simple"))
		if !ok || taken[upstream] {
			continue
		}
		taken[upstream] = true
		n++
		at := "pypi"
		if len(taken) > 1 {
			at = fmt.Sprintf("pypi-%d", len(taken))
		}
		fmt.Fprintf(&b, "\n[[mirror]]\nname = %q\nkind = \"pypi\"\nupstream = [%q]\n# Names and globs of what you need: a whole index is tens of terabytes.\nprojects = [\"pip\", \"setuptools\", \"wheel\"]\n", at, upstream)
	}
	if n == 0 {
		return nil, &fault.Error{Kind: fault.Config, Op: "init: read", Subject: "this machine's sources", Err: errors.New("no apt source and no Python index over http or https"),
			Advice: "write a spec by hand: docs/spec.md"}
	}
	text := []byte(b.String())
	if _, faults := mirrorspec.Parse("mirrors.toml", text); len(faults) > 0 {
		return text, faults
	}
	return text, nil
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

func (f Found) apt(b *strings.Builder, g group) {
	architectures := g.Architectures
	if len(architectures) == 0 {
		architectures = []string{f.Architecture}
	}
	if g.Source.Source && !slices.Contains(architectures, "source") {
		architectures = append(slices.Clone(architectures), "source")
	}
	flat := !slices.ContainsFunc(g.Suites, func(s string) bool { return !strings.HasSuffix(s, "/") })
	fmt.Fprintf(b, "\n[[mirror]]\nname = %q\nkind = \"apt\"\nupstream = %s\nsuites = %s\n", g.name, list(g.URIs), list(g.Suites))
	if !flat {
		fmt.Fprintf(b, "components = %s\n", list(g.Components))
	}
	fmt.Fprintf(b, "architectures = %s\n", list(architectures))
	keyring, sure := f.keyring(g)
	if !sure {
		b.WriteString("# The source names no keyring: check that this one has the archive's keys.\n")
	}
	fmt.Fprintf(b, "keyring = %q\n", keyring)
}

// keyring is the one that the source names, else the one that is called like
// the archive, else any that apt trusts.
func (f Found) keyring(g group) (path string, sure bool) {
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

func list(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
