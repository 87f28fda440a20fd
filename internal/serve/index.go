package serve

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// A wheels mirror has pages of the projects that it has wheels of, below
// <platform>/simple/. Everything else is its index mirror's: a redirect, unlike
// a file under another name, keeps the relative links of a page whole.

// elsewhere is where the index mirror has the page that a wheels mirror has not.
func (q *request) elsewhere() (to string, ok bool) {
	index := q.Indexes[q.at.mirror]
	_, below, found := strings.Cut(q.at.rest, "/")
	if index == "" || !found || below != "simple" && !strings.HasPrefix(below, "simple/") {
		return "", false
	}
	to = (&url.URL{Path: "/" + path.Join(index, below)}).EscapedPath()
	if q.at.slash || below == "simple" {
		to += "/"
	}
	return to, true
}

// beside is where a link from a snapshot of a wheels mirror to its index mirror leads.
func (g *region) beside(p string) (to string, ok bool) {
	rest, ok := strings.CutPrefix(p, "/.releases/")
	if !ok {
		return "", false
	}
	mirror, rest, _ := strings.Cut(rest, "/")
	index := g.Indexes[mirror]
	rest, ok = strings.CutPrefix(rest, index+"/")
	if index == "" || !ok || strings.Contains(rest, "//") || slices.Contains(strings.Split(rest, "/"), "..") {
		return "", false
	}
	return (&url.URL{Path: "/" + index + "/" + rest}).EscapedPath(), true
}

func redirect(w http.ResponseWriter, r *http.Request, to string, age time.Duration) {
	w.Header().Set("Cache-Control", cacheFor(age))
	http.Redirect(w, r, to, http.StatusFound)
}
