package tree

import (
	"fmt"
	"path"
	"strings"

	"mirrorcycle/internal/fault"
)

// private is the directory of a tree that upstream's names must never reach.
const private = ".mirror"

// CheckPath accepts a clean, relative, slash-separated path below the tree and
// refuses with fault.Hostile everything else: absolute paths, "..", empty or
// "." elements, NUL and control characters, invalid UTF-8, elements over 255
// bytes, and the name .mirror, which is private at the top and in every part.
func CheckPath(p string) error {
	why := ""
	switch {
	case p == "" || p == ".":
		why = "it is empty"
	case strings.HasPrefix(p, "/"):
		why = "it is absolute"
	case len(p) > 4000:
		why = "it is longer than 4000 bytes"
	case strings.ToValidUTF8(p, "") != p:
		why = "it is not UTF-8"
	case strings.ContainsFunc(p, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		why = "it has a control character"
	case path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../"):
		why = "it is not a clean path below the tree"
	}
	for elem := range strings.SplitSeq(p, "/") {
		if len(elem) > 255 {
			why = "a name in it is longer than 255 bytes"
		}
		if elem == private {
			why = "the name .mirror is reserved"
		}
	}
	if why == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Hostile, Op: "tree: path", Subject: fmt.Sprintf("%.200q", p), Err: fmt.Errorf("%s", why),
		Advice: "upstream must not name such a file; nothing was written"}
}
