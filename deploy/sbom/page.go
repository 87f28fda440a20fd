package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const page = "docs/licences.md"

const pageHead = `# Licences

Written by ` + "`go run ./deploy/sbom -update`" + ` from what is linked into the programs; ` + "`make check`" + ` fails when it is not current.
MirrorCycle itself is under the Apache License 2.0 ([LICENSE](../LICENSE)). ` + "`make sbom`" + ` writes ` + "`bin/sbom`" + `: a CycloneDX
bill of materials per program, with versions, and ` + "`THIRD-PARTY-NOTICES`" + `, the texts that have to go along with the programs.
The container image has both in ` + "`/usr/share/doc/mirrorcycle`" + `. Where several are named, all of them apply.

A licence is allowed if it is one of: %s.

| module | licence | linked into |
|---|---|---|
`

// render writes the page of licences. Versions are not on it: they change often, licences do not.
func render(all []linked) []byte {
	into, licences := map[string][]string{}, map[string][]string{}
	for _, l := range all {
		own := ownPath(l)
		for _, m := range l.modules {
			if m.path != own {
				into[m.path] = append(into[m.path], l.name)
				licences[m.path] = append(licences[m.path], m.licences...)
			}
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, pageHead, strings.Join(allowed, ", "))
	for _, path := range slices.Sorted(maps.Keys(into)) {
		ids := licences[path]
		slices.Sort(ids)
		name := strings.Join(slices.Compact(ids), ", ")
		if name == "" {
			name = "none found, see below"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", path, name, strings.Join(into[path], ", "))
	}
	b.WriteString("\n## Decided one by one\n\n| module | file | decision |\n|---|---|---|\n")
	for _, e := range exceptions {
		if into[e.module] != nil {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", e.module, e.file, e.why)
		}
	}
	return b.Bytes()
}

// notices gathers every text once, under the modules that it stands for.
func notices(all []linked) ([]byte, error) {
	users := map[string][]string{} // by text
	for _, l := range all {
		own := ownPath(l)
		for _, m := range l.modules {
			if m.path == own {
				continue
			}
			for _, name := range slices.Concat(m.texts, m.extra) {
				text, err := os.ReadFile(name)
				if err != nil {
					return nil, err
				}
				rel, _ := filepath.Rel(m.dir, name)
				users[string(text)] = append(users[string(text)], m.path+" "+m.version+": "+rel)
			}
		}
	}
	byFirst := map[string]string{}
	for text, names := range users {
		slices.Sort(names)
		users[text] = slices.Compact(names)
		byFirst[strings.Join(users[text], "\n")] = text
	}
	var b bytes.Buffer
	b.WriteString("MirrorCycle's programs contain the following modules, under the terms that follow their names.\n")
	for _, names := range slices.Sorted(maps.Keys(byFirst)) {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), names, strings.TrimRight(byFirst[names], "\n"))
	}
	return b.Bytes(), nil
}
