package clientfiles

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

//go:embed install.sh
var installText string

// installer writes install.sh: a fixed text after a few lines that say what there is.
func (w *writer) installer() {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n" + w.by())
	b.WriteString("base=" + quote(w.Region.URL+"/config") + "\n")
	var apt []string
	for _, d := range slices.Sorted(maps.Keys(w.dists)) {
		for _, m := range w.dists[d] {
			apt = append(apt, d+"/"+m+"/"+w.keys[m])
		}
	}
	b.WriteString("apt=" + quote(strings.Join(apt, " ")) + "\n")
	b.WriteString("yum=" + quote(strings.Join(w.yums, " ")) + "\n")
	b.WriteString("python=" + quote(strings.Join(w.index, " ")) + "\n")
	b.WriteString(installText)
	w.files["install.sh"] = []byte(b.String())
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
