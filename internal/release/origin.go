package release

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// OriginHandler serves what regions pull from a storage whose trees are below
// root and whose state is below state, and nothing else:
//
//	/<mirror>/<path>                      objects
//	/.origin/<mirror>/sealed              the newest sealed generation as JSON; 204 if there is none
//	/.origin/<mirror>/segments/<digest>   manifests
//	/.origin/<mirror>/index/<digest>      contents of indexes
//
// It only reads, and it never leaves a mirror's tree.
func OriginHandler(root, state string) http.Handler {
	return &origin{root: root, state: state}
}

type origin struct{ root, state string }

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	rest, private := strings.CutPrefix(r.URL.Path, originPrefix)
	mirror, name, ok := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if !ok || mirror == "" || strings.HasPrefix(mirror, ".") || tree.CheckPath(name) != nil {
		http.NotFound(w, r)
		return
	}
	t, err := tree.Read(tree.At(o.root, o.state, mirror))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer t.Close()
	if private {
		servePrivate(w, r, t, name)
		return
	}
	f, err := t.OpenFile(name)
	serveFile(w, r, f, err)
}

func servePrivate(w http.ResponseWriter, r *http.Request, t *tree.Tree, name string) {
	if name == sealedName {
		serveSealed(w, t)
		return
	}
	kind, hex, _ := strings.Cut(name, "/")
	d, err := manifest.ParseDigest(hex)
	switch {
	case err != nil:
		http.NotFound(w, r)
	case kind == segmentsDir:
		data, err := t.ReadSegment(d)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(data)
	case kind == indexDir:
		f, err := t.OpenIndex(d)
		serveFile(w, r, f, err)
	default:
		http.NotFound(w, r)
	}
}

func serveSealed(w http.ResponseWriter, t *tree.Tree) {
	g, err := t.Sealed()
	if err != nil {
		http.Error(w, "the state cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if g == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(g)
}

// serveFile serves regular files only: no directory listing, no index.html redirect.
func serveFile(w http.ResponseWriter, r *http.Request, f *os.File, err error) {
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}
