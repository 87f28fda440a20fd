// Package backend is the contract between a sealed generation and the regions that serve it.
//
// A backend publishes one mirror to one group of regions: a single region
// where each flips by itself (a directory), all sites of a volume where they
// cannot be told apart (AFS). backendtest.Run holds every backend to the
// sentences below.
package backend

import (
	"context"
	"io"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Source is where a backend takes a generation from: the tree itself, or the
// origin's web server for a region that does not share the file system.
type Source interface {
	manifest.Store
	// Generation returns the newest sealed generation.
	Sealed(ctx context.Context) (*tree.Generation, error)
	// Index opens the content of an index file by its digest.
	Index(ctx context.Context, d manifest.Digest) (io.ReadCloser, error)
	// Object opens an object of the tree. Path returns its name on this host's
	// file system for hard-linking, or "" where there is none.
	Object(ctx context.Context, e manifest.Entry) (io.ReadCloser, error)
	Path(p string) string
}

// Policy is what a region keeps, and for how long.
type Policy struct {
	Grace time.Duration // the mirror's grace plus the region's index-max-age
	Keep  time.Duration // how long a superseded generation stays readable
	Every time.Duration // the cycle's period, for judging gaps in the site's log
}

// Outcome is what became of one region.
type Outcome struct {
	Region  string `json:"region"`
	Serves  int64  `json:"serves"`            // generation it serves afterwards, 0 if unknown
	Changed bool   `json:"changed,omitempty"` // false if it served the generation before
	Behind  int64  `json:"behind,omitempty"`  // KB that a site which lags may still have to get, at most
	Silent  bool   `json:"-"`                 // its server does not answer; for who asks from the same process
	Kind    string `json:"kind,omitempty"`    // the fault's kind, if it failed
	Error   string `json:"error,omitempty"`
}

// Reaped is what a region deleted, and what it still holds back.
type Reaped struct {
	tree.Reaped
	Waiting      int64 `json:"waiting"`       // dropped objects still kept
	WaitingBytes int64 `json:"waiting_bytes"` // their size
	Expired      int   `json:"expired"`       // generations no longer readable
	Scrubbed
}

// Scrubbed is what a look at the bytes of a region found.
type Scrubbed struct {
	Hashed   int64    `json:"scrubbed,omitempty"` // bytes found whole
	Problems []string `json:"problems,omitempty"` // files that are not what they were
	Mended   []string `json:"mended,omitempty"`   // paths that were damaged and are whole again
}

// Scrubber is a Backend whose region may have bytes of its own.
type Scrubber interface {
	// Scrub hashes the files of the view that is served whose turn has come, so
	// that all are read within 30 days, and brings damaged ones back from src.
	Scrub(ctx context.Context, src Source) (Scrubbed, error)
}

// Backend publishes one mirror to one group of regions.
type Backend interface {
	// Publish makes src's newest sealed generation visible in every region of
	// the group, or says for each region why not. It may be killed at any
	// point and called again; a region that serves it already is not touched.
	// A generation older than the one a region serves is refused with fault.Stale.
	Publish(ctx context.Context, src Source) ([]Outcome, error)
	// Serving reads back what each region holds.
	Serving(ctx context.Context) ([]Outcome, error)
	// Confirm records that a probe through the region's URL saw generation n.
	Confirm(ctx context.Context, region string, n int64) error
	// Reap deletes what promise 1 allows in the stores that this backend owns.
	Reap(ctx context.Context) (Reaped, error)
}
