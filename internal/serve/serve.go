// Package serve is the web server of one region: a directory of mirrors, as clients see it.
//
// It is what starter up, the demo and the tests run on loopback; a production
// region may as well be served by any web server that keeps the same rules:
//
//   - One response is of one generation: the link of a mirror is read once per
//     request, and every file is opened once.
//
//   - Nothing outside the region is served, whatever links say, and no name that
//     begins with a dot but <mirror>/.mirror/generation.json and the retained
//     snapshots /.releases/<mirror>/<generation>/. A snapshot that is gone is 410.
//
//   - The three forms of a simple index are chosen by Accept (PEP 691), project
//     names are redirected to their normalised form (PEP 503).
//
//   - Objects are immutable, indexes live IndexMaxAge, generation.json is never
//     stored. Compressed files are content, never a Content-Encoding.
//
//   - Where the region's disk is not mounted, or a mirror is still being filled,
//     the answer is 503, not 404.
//
//   - The region's status page, status.json, /healthz and the client files below
//     /config/ come from a directory of their own (internal/site).
//
// It lists no directory, writes nothing and knows no user.
package serve

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

// Options say what is served.
type Options struct {
	Dir string // the region's directory
	// IndexMaxAge is how long clients and caches may keep an index, to the
	// second. The grace of the mirrors must count with it.
	IndexMaxAge time.Duration
	// Indexes names, for each wheels mirror, the mirror whose files its pages
	// name, and which has the pages that it has not.
	Indexes map[string]string
	// Site is the directory of the region's status page and client files, for /,
	// /status.json, /healthz and /config/. Without one / lists the mirrors.
	Site string
	// Only names the one mirror that is served, and of it the simple index and the
	// files: what builds of wheels may read. Dir is a storage's root then. Nothing
	// else of Dir can be named, by a link neither.
	Only string
}

// New returns the handler of a region for the root of a host. A directory that
// is not there is fault.Config; one that is rebuilt later is followed.
func New(o Options) (http.Handler, error) {
	root, err := os.OpenRoot(path.Join(o.Dir, o.Only))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "serve: open region", Subject: o.Dir, Err: err,
			Advice: "run starter setup, or check the region's dir in the spec"}
	}
	return &region{o}, root.Close()
}

type region struct{ Options }

// nothingRuns lets a browser show a page, and run and load nothing.
const nothingRuns = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (g *region) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", nothingRuns)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed)
		return
	}
	if to, ok := g.beside(r.URL.Path); ok && g.Only == "" {
		redirect(w, r, to, g.IndexMaxAge)
		return
	}
	at, status := parse(r.URL)
	if status != http.StatusOK {
		fail(w, status)
		return
	}
	if g.Only != "" && !at.packages(g.Only) {
		fail(w, http.StatusNotFound)
		return
	}
	if g.ofSite(w, r) {
		return
	}
	// Opened per request, so that a region that was rebuilt is seen.
	root, err := os.OpenRoot(path.Join(g.Dir, g.Only))
	if err != nil {
		fail(w, http.StatusServiceUnavailable)
		return
	}
	defer root.Close()
	q := &request{Options: g.Options, w: w, r: r, root: root, at: at}
	if at.mirror == "" {
		q.front()
		return
	}
	q.answer()
}

// request is one request for a path below a mirror.
type request struct {
	Options
	w    http.ResponseWriter
	r    *http.Request
	root *os.Root
	at   place
}

// answer tries the view that is current; if that is gone behind a flip, the next one.
func (q *request) answer() {
	for {
		base, err := q.base()
		if err == nil {
			err = q.try(base)
		}
		if err == nil {
			return
		}
		if now, baseErr := q.base(); baseErr != nil || now == base {
			q.missing(err)
			return
		}
	}
}

// try answers from one view. After an error nothing is written yet.
func (q *request) try(base string) error {
	name := path.Join(base, q.at.rest)
	f, info, err := open(q.root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	switch {
	case !info.IsDir() && q.at.slash:
		return fs.ErrNotExist
	case !info.IsDir():
		q.file(f, info, path.Base(q.at.rest))
	case !q.at.slash:
		q.redirect(q.at.String() + "/")
	default:
		return q.directory(name)
	}
	return nil
}

// base returns where the mirror's view is at this moment. The link is read here
// and nowhere else, so that a flip does not divide a response.
func (q *request) base() (string, error) {
	if q.Only != "" {
		return ".", nil
	}
	link := q.at.link()
	target, err := q.root.Readlink(link)
	if errors.Is(err, syscall.EINVAL) {
		return link, nil // a directory of its own
	}
	if err != nil {
		return "", err
	}
	if path.IsAbs(target) {
		return "", fs.ErrNotExist
	}
	return path.Join(path.Dir(link), target), nil
}

// open opens a regular file or a directory; a pipe or a device is not there.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// directory answers with the index that a directory holds.
func (q *request) directory(dir string) error {
	name := simpleindex.HTMLName
	if _, err := q.root.Stat(path.Join(dir, simpleindex.V1JSONName)); err == nil {
		q.w.Header().Set("Vary", "Accept")
		form, ok := negotiate(q.r.Header.Values("Accept"))
		if !ok {
			h := q.w.Header()
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("Cache-Control", "no-store")
			q.w.WriteHeader(http.StatusNotAcceptable)
			io.WriteString(q.w, "offered: "+offered()+"\n")
			return nil
		}
		name = form.name
	}
	f, info, err := open(q.root, path.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if info.IsDir() {
		return fs.ErrNotExist
	}
	q.file(f, info, name)
	return nil
}

func (q *request) file(f *os.File, info fs.FileInfo, name string) {
	h := q.w.Header()
	h.Set("Content-Type", q.at.contentType(name))
	h.Set("Cache-Control", q.at.cacheControl(q.IndexMaxAge))
	h.Set("ETag", etag(info, name))
	r := q.r
	if since := r.Header.Get("If-Modified-Since"); since != "" && since != info.ModTime().UTC().Format(http.TimeFormat) {
		// Only the same date is unchanged: a roll back serves older files anew.
		r = r.Clone(r.Context())
		r.Header.Del("If-Modified-Since")
	}
	http.ServeContent(q.w, r, name, modified(info), f)
}

// modified is the date of a file, and none while it is so young that another one
// may come with the same: clients such as apt compare whole seconds only
// (RFC 9110, section 8.8.2.2).
func modified(info fs.FileInfo) time.Time {
	if at := info.ModTime(); time.Since(at) > 2*time.Second {
		return at
	}
	return time.Time{}
}

// missing answers for a path that cannot be opened: perhaps a project under
// another spelling of its name.
func (q *request) missing(err error) {
	name, ok := q.at.project()
	if n := simpleindex.Normalize(name); ok && statusOf(err) == http.StatusNotFound && simpleindex.ValidName(name) && n != name {
		at := q.at
		at.rest = path.Join(path.Dir(at.rest), n)
		q.redirect(at.String() + "/")
		return
	}
	if to, ok := q.elsewhere(); ok && statusOf(err) == http.StatusNotFound {
		redirect(q.w, q.r, to, q.IndexMaxAge)
		return
	}
	q.refuse(err)
}

func (q *request) redirect(to string) {
	q.w.Header().Set("Cache-Control", cacheFor(q.IndexMaxAge))
	http.Redirect(q.w, q.r, to, http.StatusMovedPermanently)
}

func (q *request) refuse(err error) {
	status := statusOf(err)
	switch {
	case status != http.StatusNotFound:
	case q.Only == "" && q.away():
		status = http.StatusServiceUnavailable
	case q.expired():
		status = http.StatusGone
	}
	fail(q.w, status)
}

// away reports whether what is not there should be: the disk is not mounted, so
// that there is no identity either, or the mirror has records and is still being
// filled. 404 would say that there is no such package.
func (q *request) away() bool {
	there := func(name string) bool {
		_, err := q.root.Lstat(name)
		return !errors.Is(err, fs.ErrNotExist)
	}
	return !there(q.at.mirror) && (!there(identityPath) || there(path.Join(path.Dir(identityPath), q.at.mirror)))
}

// expired reports whether a snapshot is asked for that was there once: its
// number is not above the one that is served now.
func (q *request) expired() bool {
	if q.at.snapshot == 0 {
		return false
	}
	if _, err := q.root.Stat(q.at.link()); err == nil {
		return false
	}
	now, err := readServed(q.root, q.at.mirror)
	return err == nil && q.at.snapshot <= now.Number
}

// statusOf tells "not there" from "not readable now": a client that is told 404
// takes the file for gone. A link that leaves the region is not there.
func statusOf(err error) int {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return http.StatusNotFound
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL, syscall.ENXIO:
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

// retryAfter is how many seconds clients are asked to wait for what is not there yet.
const retryAfter = "30"

func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, http.StatusText(status), status)
}
