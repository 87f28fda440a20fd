// Package pypi brings projects of a Python package index into a tree, and renders their pages.
//
// Changes are found by the serials of upstream's root page, where they tell
// projects apart, and by conditional requests. Every file is proved by the SHA-256
// of its project page, in JSON or HTML; size and times are completed from what
// landed. The file is the unit of a fault: one that cannot be had or believed is
// left off its page or stays what it was, told once, and tried again. A project
// that cannot be read keeps its page, and delays no other. An answer that takes
// something away, and that no other answer confirms, is believed when it comes
// again. Terms are those of package simpleindex.
package pypi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
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
	Upstreams []string // base URLs of one index, at or above simple/, in order of failover
	Indexes   []string // the same, as URLs of the index root itself, after Upstreams
	Projects  []string // normalised names and globs
	Exclude   []string // the same
	// KeepLatest is how many of the newest final versions of a project are
	// mirrored, 0 for all versions. Pre-releases and local versions that are newer
	// than the oldest of these come along unless they are left out.
	KeepLatest         int
	LeavePreReleases   bool
	LeaveLocalVersions bool
	// Requirements are paths of requirement and constraint files, Wheels state
	// directories of wheels mirrors: what they ask for is mirrored, with what that
	// needs to run and to be built, in the versions that meet it.
	Requirements []string
	Wheels       []string
	// Environments are those of the platforms that markers are judged by; with
	// none, every marker may hold.
	Environments []requirements.Environment
	Workers      int // project pages at once
	Step         tree.Step
	Now          func() time.Time

	projects, exclude *matcher // of Projects and Exclude, made by New
}

// Engine plans and settles PyPI mirrors.
type Engine struct {
	cfg    Config
	spare  bool
	roots  []string // URLs of the index
	client *fetch.Client
	render func(*simpleindex.Project) rendered
	large  sync.Mutex // held while a large page is read: one at a time
}

// New returns the engine for cfg.
func New(cfg Config, client *fetch.Client) *Engine {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.projects, cfg.exclude = newMatcher(cfg.Projects), newMatcher(cfg.Exclude)
	e := &Engine{cfg: cfg, client: client, render: render}
	for _, u := range cfg.Upstreams {
		e.roots = append(e.roots, strings.TrimSuffix(strings.TrimRight(u, "/"), "/simple")+"/simple")
	}
	e.roots = append(e.roots, cfg.Indexes...)
	return e
}

// Sparing returns an engine whose plans leave every project as it is of which
// files would go, but for quarantined ones: what a guard lets pass while the rest
// waits for a person.
func (e *Engine) Sparing() *Engine {
	return &Engine{cfg: e.cfg, roots: e.roots, client: e.client, render: e.render, spare: true}
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
	Serial       int64  `json:"serial,omitempty"`    // of the root page; what is published, and never falls
	Blind        bool   `json:"blind,omitempty"`     // the serials of the root page did not tell projects apart
	HTML         bool   `json:"html,omitempty"`      // upstream has HTML only
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
	Lacks *lacks             `json:"l,omitempty"` // what upstream lists and the page has not
}

func (n rowNote) String() string {
	data, _ := json.Marshal(n) // strings and a bool always marshal
	return string(data)
}

func readNote(e manifest.Entry) (n rowNote) {
	if tag, ok := tagOnly(e.Note); ok {
		return rowNote{ETag: tag}
	}
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
func (c Config) fingerprint() string {
	text := fmt.Append(nil, "keep-latest ", c.KeepLatest)
	if c.KeepLatest > 0 {
		text = fmt.Append(text, " finals ", c.LeavePreReleases, c.LeaveLocalVersions)
	}
	return shortSum(text)
}

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

// named returns the names that are selected without a glob; all is true if there
// is no glob.
func (c Config) named() (names []string, all bool) {
	all = true
	for _, p := range c.Projects {
		if strings.ContainsAny(p, "*?[") {
			all = false
		} else if c.wants(p) {
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), all
}

// get asks for a page below the index, "" for the root.
func (e *Engine) get(ctx context.Context, page string, req fetch.Request) ([]byte, fetch.Result, error) {
	req.Upstreams, req.Path, req.Index, req.Header = e.roots, page, true, accept()
	return e.client.GetBytes(ctx, req)
}

// accept is what pip sends, so an index that serves pip serves a mirror.
func accept() http.Header {
	return http.Header{"Accept": {simpleindex.MediaV1JSON + ", " + simpleindex.MediaV1HTML + "; q=0.1, text/html; q=0.01"}}
}
