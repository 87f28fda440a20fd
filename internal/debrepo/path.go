package debrepo

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"mirrorcycle/internal/fault"
)

// Algorithm is a digest algorithm as Release files and by-hash directories spell it.
type Algorithm string

// The algorithms of a Release file, weakest first.
const (
	MD5    Algorithm = "MD5Sum"
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// Algorithms lists every algorithm, weakest first.
var Algorithms = [...]Algorithm{MD5, SHA1, SHA256, SHA512}

// hexLen is the length of a digest of each algorithm in hexadecimal digits.
func (a Algorithm) hexLen() int {
	switch a {
	case MD5:
		return 32
	case SHA1:
		return 40
	case SHA256:
		return 64
	case SHA512:
		return 128
	}
	return 0
}

// Hashes holds the digests of one file in lower-case hexadecimal, "" where none is known.
type Hashes struct {
	MD5, SHA1, SHA256, SHA512 string
}

// Get returns the digest of one algorithm, or "".
func (h Hashes) Get(a Algorithm) string {
	if p := h.field(a); p != nil {
		return *p
	}
	return ""
}

// Strongest returns the strongest digest present, or "" and "" when there is none.
// It is the only one that apt asks for by hash.
func (h Hashes) Strongest() (Algorithm, string) {
	for i := len(Algorithms) - 1; i >= 0; i-- {
		if v := h.Get(Algorithms[i]); v != "" {
			return Algorithms[i], v
		}
	}
	return "", ""
}

// Proves reports whether a digest strong enough to prove content is present.
// MD5 and SHA-1 are not.
func (h Hashes) Proves() bool { return h.SHA256 != "" || h.SHA512 != "" }

func (h *Hashes) field(a Algorithm) *string {
	switch a {
	case MD5:
		return &h.MD5
	case SHA1:
		return &h.SHA1
	case SHA256:
		return &h.SHA256
	case SHA512:
		return &h.SHA512
	}
	return nil
}

// ByHashPath returns the by-hash name of an index: the directory of indexPath,
// then by-hash, the algorithm and the digest.
func ByHashPath(indexPath string, alg Algorithm, hex string) string {
	return path.Join(path.Dir(indexPath), "by-hash", string(alg), hex)
}

// ByHashPaths returns the by-hash names of a file for every digest that Release
// lists, weakest first. apt asks only the strongest, older clients others, so a
// mirror makes them all.
func ByHashPaths(f File) []string {
	var out []string
	for _, a := range Algorithms {
		if v := f.Hashes.Get(a); v != "" {
			out = append(out, ByHashPath(f.Path, a, v))
		}
	}
	return out
}

const (
	maxPath    = 1024 // bytes; pool paths are about 100
	maxElement = 255  // bytes; NAME_MAX of every file system we write to
)

// cleanPath returns a relative path that stays below the root of the archive.
// One leading "./" is dropped, as flat repositories write it; anything else that
// is not already clean is fault.Hostile.
func cleanPath(p string) (string, error) {
	p = strings.TrimPrefix(p, "./")
	if reason := pathFlaw(p); reason != "" {
		return "", &fault.Error{Kind: fault.Hostile, Op: "debrepo: check path", Subject: fmt.Sprintf("%.200q", p),
			Err: fmt.Errorf("%s", reason), Advice: "this index is not safe to mirror"}
	}
	return p, nil
}

// objectPath is cleanPath for packages and sources: generators of flat
// repositories leave "." and empty elements within their paths, which mean
// nothing to file systems, servers and clients.
func objectPath(p string) (string, error) {
	if !strings.HasPrefix(p, "/") && (strings.Contains(p, "//") || strings.Contains(p, "./")) {
		var elements []string
		for e := range strings.SplitSeq(p, "/") {
			if e != "" && e != "." {
				elements = append(elements, e)
			}
		}
		if strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") {
			elements = append(elements, "") // a directory, which no file is
		}
		p = strings.Join(elements, "/")
	}
	return cleanPath(p)
}

func pathFlaw(p string) string {
	switch {
	case p == "":
		return "empty"
	case len(p) > maxPath:
		return "too long"
	case p[0] == '/':
		return "absolute"
	case !utf8.ValidString(p):
		return "not UTF-8"
	}
	for i := 0; i < len(p); i++ {
		if p[i] < 0x20 || p[i] == 0x7f {
			return "control character"
		}
		if p[i] == '\\' {
			return "backslash"
		}
	}
	for rest, more := p, true; more; {
		var element string
		element, rest, more = strings.Cut(rest, "/")
		switch {
		case element == "" || element == ".":
			return "not clean"
		case element == "..":
			return "leaves the tree"
		case element == ".mirror":
			return "reserved name .mirror"
		case len(element) > maxElement:
			return "element too long"
		}
	}
	return ""
}

// validHex reports whether v is a lower-case hexadecimal digest of algorithm a.
func validHex(a Algorithm, v []byte) bool {
	if len(v) != a.hexLen() {
		return false
	}
	for _, c := range v {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
