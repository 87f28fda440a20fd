// Package demo is an upstream to try a mirror on: a signed apt archive and a Python package index of small real packages.
//
// Everything is made here, in pure Go, and served by one handler, so that a
// newcomer watches cycles, purges and releases without the internet. Each Step
// publishes something new and drops something old; what a seed makes of it is
// always the same, down to the bytes of every package. Only signatures and dates
// differ.
//
//	/debian/                suites demo and demo-updates, component main
//	/pypi/simple/           the simple index, with serials (PEP 503, 691, 700)
//	/pypi/packages/         wheels, their metadata (PEP 658), an sdist
//
// It is no package index for real use: it keeps no history, and a package that
// it dropped is gone for good after a few steps.
package demo

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo/debrepotest"
)

// Options make an upstream; the zero value works.
type Options struct {
	Seed uint64
	// Dir keeps the signing key and the step, so that a restart goes on where
	// the last run was, with the seed it began with; "" keeps nothing.
	Dir string
	Now func() time.Time // the clock, time.Now if nil
}

// Upstream is a running demo. Its methods may be called at any time by anyone.
type Upstream struct {
	now func() time.Time
	dir string
	key *openpgp.Entity

	mu       sync.RWMutex
	kept     kept
	model    *model
	suites   map[string]suite // as signed last
	files    map[string]file  // what is served, by path
	requests map[string]int
}

// New makes an upstream, or takes up the one that Dir keeps. Unreadable records
// are fault.Corrupt.
func New(o Options) (*Upstream, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	u := &Upstream{now: o.Now, dir: o.Dir, suites: map[string]suite{}, requests: map[string]int{}}
	var err error
	if u.kept, u.key, err = restore(o); err != nil {
		return nil, err
	}
	u.model = newModel(u.kept.Seed)
	for range u.kept.Step {
		u.model.advance()
	}
	if err := u.publish(); err != nil {
		return nil, err
	}
	return u, nil
}

// Keyring returns the public key that signs the archive, as a binary keyring.
func (u *Upstream) Keyring() []byte { return debrepotest.PublicKeys(u.key) }

// Step publishes the next change: a new version of something, for which
// something old goes; now and then a yanked version or a quarantined project. All
// of it appears at once.
func (u *Upstream) Step() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.model.advance()
	u.kept.Step = u.model.step
	return u.publish()
}

// Describe says in one line what the last step did.
func (u *Upstream) Describe() string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.model.said
}

// Requests returns how often each path was asked for.
func (u *Upstream) Requests() map[string]int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return maps.Clone(u.requests)
}

// publish renders the model, keeps what clients of the last publications may
// still ask for, and serves it all.
func (u *Upstream) publish() error {
	files := map[string]file{}
	if err := u.renderDebian(files); err != nil {
		return fmt.Errorf("demo: publish archive: %w", err)
	}
	if err := u.renderPyPI(files); err != nil {
		return fmt.Errorf("demo: publish index: %w", err)
	}
	for name, f := range u.files {
		if _, ok := files[name]; ok {
			continue
		}
		if f.dropped == 0 {
			f.dropped = u.model.step
		}
		if u.model.step-f.dropped < lingers(name) {
			files[name] = f
		}
	}
	if err := save(u.dir, u.kept); err != nil {
		return err
	}
	u.files = files
	return nil
}

// Handler serves the upstream below the root of a host.
func (u *Upstream) Handler() http.Handler { return http.HandlerFunc(u.serve) }

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests[r.URL.Path]++
	files := u.files // replaced as a whole, never written to
	u.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	name := r.URL.Path
	if to, ok := redirect(name); ok {
		http.Redirect(w, r, to, http.StatusMovedPermanently)
		return
	}
	if isPage(name) {
		name += pageForm(r.Header.Values("Accept"))
		w.Header().Set("Vary", "Accept")
	}
	f, ok := files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if f.serial > 0 {
		h.Set("X-PyPI-Last-Serial", fmt.Sprint(f.serial))
	}
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.data))
}
