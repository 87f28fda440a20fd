package rpmrepo

import (
	"fmt"
	"path"
	"strings"
)

// Resolve returns where a file lies, relative to the upstream's root, that an
// index of the repository at dir calls href. Clients take "..", and a leading
// "/" for the repository's directory, in the locations of packages; what leaves
// the root is fault.Hostile. dir is clean and relative, "." or "" for the root.
func Resolve(dir, href string) (string, error) {
	if flaw := flawOf(href); flaw != "" {
		return "", hostile(fmt.Sprintf("%.200q", href), "location %s", flaw)
	}
	p := path.Join(dir, strings.TrimLeft(href, "/"))
	if p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "/") {
		return "", hostile(fmt.Sprintf("%.200q", href), "location leaves the upstream's root")
	}
	if p == "." || p == path.Clean("./"+dir) || strings.HasSuffix(href, "/") {
		return "", hostile(fmt.Sprintf("%.200q", href), "location is a directory")
	}
	return p, nil
}

// ResolveData is Resolve for the data files that repomd.xml names: clients
// refuse or abort on ".." in these, so they are fault.Hostile.
func ResolveData(dir, href string) (string, error) {
	for element := range strings.SplitSeq(href, "/") {
		if element == ".." {
			return "", hostile(fmt.Sprintf("%.200q", href), "location of metadata leaves the repository")
		}
	}
	return Resolve(dir, href)
}

func flawOf(href string) string {
	switch {
	case href == "":
		return "is empty"
	case len(href) > 2048:
		return "is longer than 2048 bytes"
	case strings.ToValidUTF8(href, "") != href:
		return "is not UTF-8"
	case strings.ContainsFunc(href, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "has a control character"
	case strings.Contains(href, `\`):
		return "has a backslash"
	}
	for element := range strings.SplitSeq(href, "/") {
		if element == ".mirror" {
			return "has the reserved name .mirror"
		}
		if len(element) > 255 {
			return "has a name longer than 255 bytes"
		}
	}
	return ""
}
