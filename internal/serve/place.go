package serve

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// servedPath is the one hidden file of a mirror that clients read.
const servedPath = ".mirror/generation.json"

// identityPath is in the directory of every region that was set up.
const identityPath = ".mirrorcycle/id"

// place is what a request path names.
type place struct {
	mirror   string // "" is the front page
	snapshot int64  // the generation of a retained snapshot, 0 for what is served now
	rest     string // below the mirror, clean, "" for the mirror itself
	slash    bool   // the path ends in a slash
}

// parse reads a request path. Single dots and repeated slashes, which apt sends
// for flat repositories, mean nothing; anything that could name another place
// than it seems to is refused with 400, hidden names are 404.
func parse(u *url.URL) (place, int) {
	raw := strings.ToLower(u.EscapedPath())
	if !strings.HasPrefix(u.Path, "/") || strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c") ||
		strings.ContainsFunc(u.Path, func(c rune) bool { return c < 0x20 || c == 0x7f || c == '\\' }) {
		return place{}, http.StatusBadRequest
	}
	var parts []string
	for part := range strings.SplitSeq(u.Path, "/") {
		switch part {
		case "", ".":
		case "..":
			return place{}, http.StatusBadRequest
		default:
			parts = append(parts, part)
		}
	}
	at := place{slash: strings.HasSuffix(u.Path, "/")}
	if len(parts) == 0 {
		return at, http.StatusOK
	}
	if parts[0] == ".releases" {
		if len(parts) < 3 {
			return at, http.StatusNotFound
		}
		n, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil || n <= 0 || strconv.FormatInt(n, 10) != parts[2] {
			return at, http.StatusNotFound
		}
		at.snapshot = n
		parts = append(parts[1:2:2], parts[3:]...)
	}
	at.mirror, at.rest = parts[0], path.Join(parts[1:]...)
	if hidden(at.mirror) || at.rest != servedPath && hidden(parts[1:]...) {
		return at, http.StatusNotFound
	}
	return at, http.StatusOK
}

func hidden(names ...string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			return true
		}
	}
	return false
}

// link is where the region says which view the place is in.
func (p place) link() string {
	if p.snapshot > 0 {
		return path.Join(".releases", p.mirror, strconv.FormatInt(p.snapshot, 10))
	}
	return p.mirror
}

// String is the escaped path of the place without a slash at its end.
func (p place) String() string {
	return (&url.URL{Path: "/" + path.Join(p.link(), p.rest)}).EscapedPath()
}

// project returns the name in the path of a project page.
func (p place) project() (string, bool) {
	_, name, ok := strings.Cut("/"+p.rest, "/simple/")
	return name, ok && strings.Count(p.rest, "/") <= 2 && !strings.Contains(name, "/")
}

// packages reports whether the place is in the mirror's simple index or among its files.
func (p place) packages(mirror string) bool {
	top, _, _ := strings.Cut(p.rest, "/")
	return p.mirror == mirror && p.snapshot == 0 && (top == "simple" || top == "packages")
}

// object is the form of the names of files that never change: by-hash files,
// files below their digest, and packages. An index may be in a directory that is
// called pool or packages as well. deploy/nginx and deploy/apache have the same.
var object = regexp.MustCompile(`(/by-hash/[A-Za-z0-9]+/[0-9a-f]+|/packages/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/[0-9a-f]+/[^/]+|\.(deb|udeb|ddeb|dsc|whl|egg|rpm|drpm)(\.metadata|\.asc)?|_[0-9][^/]*\.(tar\.[a-z0-9]+|diff\.gz)(\.asc)?)$`)

// isPage reports whether the place is in a simple index, whose pages browsers show.
func (p place) isPage() bool {
	first, rest, _ := strings.Cut(p.rest, "/")
	return first == "simple" || rest == "simple" || strings.HasPrefix(rest, "simple/")
}

// cacheControl says how long the file may be kept.
func (p place) cacheControl(index time.Duration) string {
	switch {
	case p.rest == servedPath:
		return "no-store"
	case object.MatchString("/" + p.rest):
		return "max-age=365000000, immutable"
	}
	return cacheFor(index)
}

func cacheFor(age time.Duration) string {
	return "max-age=" + strconv.FormatInt(int64(max(age, 0)/time.Second), 10)
}
