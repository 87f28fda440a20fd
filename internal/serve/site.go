package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"mirrorcycle/internal/site"
)

// siteTypes are the types of the client files, all of which a browser may show.
var siteTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".json": "application/json",
	".gpg":  "application/octet-stream",
}

// ofSite answers for the paths of the region's status page and client files,
// and reports whether the path is one of them.
func (g *region) ofSite(w http.ResponseWriter, r *http.Request) bool {
	name := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case g.Site == "":
		return false
	case name == "":
		name = site.PageName
	case name == "healthz":
		g.health(w)
		return true
	case name == site.StatusName, strings.HasPrefix(name, site.ConfigDir+"/") && !hidden(strings.Split(name, "/")...):
	default:
		return false
	}
	err := g.siteFile(w, r, name)
	if err != nil && name == site.PageName {
		return false // nothing is written yet: the list of mirrors does
	}
	if err != nil {
		fail(w, statusOf(err))
	}
	return true
}

func (g *region) siteFile(w http.ResponseWriter, r *http.Request, name string) error {
	root, err := os.OpenRoot(g.Site)
	if err != nil {
		return err
	}
	defer root.Close()
	f, info, err := open(root, path.Clean(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if info.IsDir() || strings.HasSuffix(name, "/") {
		return fs.ErrNotExist
	}
	h := w.Header()
	kind, ok := siteTypes[path.Ext(name)]
	if !ok {
		kind = "text/plain; charset=utf-8"
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etag(info, name))
	h.Set("Content-Security-Policy", nothingRuns+"; style-src 'unsafe-inline'; img-src data:")
	http.ServeContent(w, r, name, info.ModTime(), f)
	return nil
}

// health answers load balancers: 200 until the time that status.json names.
// 503 means that clients should go elsewhere, if there is an elsewhere.
func (g *region) health(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	until, err := g.healthyUntil()
	switch {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "no status has been written\n")
	case !time.Now().Before(until):
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "stale since %s\n", until.Format(time.RFC3339))
	default:
		fmt.Fprintf(w, "ok until %s\n", until.Format(time.RFC3339))
	}
}

func (g *region) healthyUntil() (time.Time, error) {
	root, err := os.OpenRoot(g.Site)
	if err != nil {
		return time.Time{}, err
	}
	defer root.Close()
	data, err := root.ReadFile(site.StatusName)
	if err != nil {
		return time.Time{}, err
	}
	var s site.Status
	err = json.Unmarshal(data, &s)
	return s.HealthyUntil, err
}
