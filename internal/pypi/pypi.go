// Package pypi brings projects of a Python package index into a tree, and renders their pages.
//
// The project is the unit. Changes are found by the serials of upstream's root
// page and by conditional requests; every file is proved by the SHA-256 of its
// project page. A file that cannot be had is left out of the page and tried
// again, a project that cannot be read keeps its page, and neither delays
// another. Terms are those of package simpleindex.
package pypi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// Config says what to mirror.
type Config struct {
	Upstreams  []string // base URLs of one index, above simple/, in order of failover
	Projects   []string // normalised names and globs
	Exclude    []string // the same
	KeepLatest int      // newest versions per project, 0 for all
	// Requirements are paths of requirement and constraint files, Wheels state
	// directories of wheels mirrors: what they ask for is mirrored, with what that
	// needs to run and to be built, in the versions that meet it.
	Requirements []string
	Wheels       []string
	// Environments are those of the platforms that markers are judged by; with
	// none, every marker may hold.
	Environments []requirements.Environment
	Workers      int // project pages at once

	projects, exclude *matcher // of Projects and Exclude, made by New

	Now func() time.Time
}

// Engine plans and settles PyPI mirrors.
type Engine struct {
	cfg    Config
	client *fetch.Client
	large  sync.Mutex // held while a large page is read: one at a time
}

// New returns the engine for cfg.
func New(cfg Config, client *fetch.Client) *Engine {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.projects, cfg.exclude = newMatcher(cfg.Projects), newMatcher(cfg.Exclude)
	return &Engine{cfg: cfg, client: client}
}

// The engine's tables of a generation.
const (
	projectsTable = "projects" // row per project: serial, digest of upstream's page, rowNote
	objectsTable  = "objects"  // "<project>/<path>" to the object's size and digest
)

// state is the engine's note on a generation.
type state struct {
	ETag         string `json:"etag,omitempty"` // of the root page
	LastModified string `json:"last_modified,omitempty"`
	Serial       int64  `json:"serial,omitempty"`    // of the root page
	Config       string `json:"config"`              // what decided which files are wanted
	Selection    string `json:"selection,omitempty"` // what decided which projects are
}

// rowNote is what a project's row says besides serial and digest.
type rowNote struct {
	Name  string             `json:"n,omitempty"` // for display, if it is not the normalised one
	ETag  string             `json:"e,omitempty"`
	State simpleindex.Status `json:"s,omitempty"` // if not active
	Retry bool               `json:"r,omitempty"` // a file is missing: ask again
	Pick  string             `json:"p,omitempty"` // fingerprint of the page, if requirements chose its files
}

func (n rowNote) String() string {
	data, _ := json.Marshal(n) // strings and a bool always marshal
	return string(data)
}

func readNote(e manifest.Entry) (n rowNote) {
	_ = json.Unmarshal([]byte(e.Note), &n) // an unreadable note means: ask anew
	return n
}

func readState(g *tree.Generation) (state, error) {
	var s state
	if g == nil || len(g.Engine) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(g.Engine, &s); err != nil {
		return s, &fault.Error{Kind: fault.Corrupt, Op: "pypi: read state", Subject: g.Mirror, Err: err, Advice: "restore the state directory"}
	}
	return s, nil
}

// fingerprint names what decides which files of a project are wanted.
func (c Config) fingerprint() string { return shortSum(fmt.Append(nil, "keep-latest ", c.KeepLatest)) }

// selection names what decides which projects are wanted.
func (c Config) selection() string { return shortSum(fmt.Append(nil, c.Projects, c.Exclude)) }

func shortSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// wants reports whether a normalised project name is selected.
func (c Config) wants(name string) bool {
	return c.projects.match(name) && !c.exclude.match(name)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// listed returns the selected names if no glob is among them.
func (c Config) listed() (names []string, ok bool) {
	for _, p := range c.Projects {
		if strings.ContainsAny(p, "*?[") {
			return nil, false
		}
		if c.wants(p) {
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

func (e *Engine) get(ctx context.Context, req fetch.Request) ([]byte, fetch.Result, error) {
	req.Upstreams = e.cfg.Upstreams
	return e.client.GetBytes(ctx, req)
}
