// Package yum brings rpm repositories into a tree, byte for byte as upstream publishes them.
//
// A repository is the unit: it moves to a new repomd.xml as a whole or stays as
// it is. What it refers to is kept as a table of the generation. Data files
// whose name holds their checksum are objects, which stay for the grace after
// the last repomd.xml that named them, as packages do: a client that read that
// repomd.xml before a release finds all of it after. Terms are those of package
// rpmrepo.
package yum

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// What proves a repository. The empty Proof takes ByRepomd where upstream signs
// its repomd.xml, and ByPackages elsewhere.
const (
	ByRepomd   = "repomd"   // the signature of repomd.xml
	ByPackages = "packages" // the signature of each package
	ByBoth     = "both"
	ByNothing  = "none"
)

// Config says what to mirror.
type Config struct {
	Upstreams     []string // base URLs of one server's root, in order of failover; not with a list
	Repos         []string // directories that hold repodata, with $releasever, $basearch and $arch in them
	Releases      []string // values of $releasever
	Architectures []string // values of $basearch and $arch
	Metalink      string   // URL, with the same variables, of a metalink for each repository
	MirrorList    string   // or of a list of servers
	Keyring       string   // path of the keys that may sign; not needed with ByNothing
	Proof         string
	Filter        Filter
	Replace       bool // a path that changes its bytes gets the new ones; else its repository stays as it is
	Tolerate      bool // a package that cannot be had or proved is left out; else its repository stays as it is
	// Grace is how long data files whose names do not hold their checksum stay
	// after the last repomd.xml that named them, as clients may still ask for them.
	Grace time.Duration
}

// Engine plans and settles yum mirrors.
type Engine struct {
	cfg    Config
	client *fetch.Client
}

// New returns the engine for cfg.
func New(cfg Config, client *fetch.Client) *Engine { return &Engine{cfg: cfg, client: client} }

// state is the engine's note on a generation.
type state struct {
	Repos map[string]repoState `json:"repos"` // by directory
}

// repoState is what is known of a repository's committed repomd.xml.
type repoState struct {
	ETag         string   `json:"etag,omitempty"`
	LastModified string   `json:"last_modified,omitempty"`
	Digest       string   `json:"digest"` // SHA-256 of repomd.xml
	Revision     string   `json:"revision,omitempty"`
	Timestamp    int64    `json:"timestamp,omitempty"` // of the newest data file, in seconds since 1970
	Proof        string   `json:"proof"`
	Config       string   `json:"config"` // what was mirrored of it
	Packages     int64    `json:"packages"`
	Data         int64    `json:"data"`              // data files that the tables count as objects
	Servers      []string `json:"servers,omitempty"` // base URLs of its directory, if a list gave them
	Table        string   `json:"table"`             // ID of the table of everything that it refers to
	// Missing is the ID of the table of what it names and the mirror cannot have.
	Missing  string      `json:"missing,omitempty"`
	Notes    []tree.Note `json:"notes,omitempty"`    // of what is missing
	Unproved []string    `json:"unproved,omitempty"` // of that, packages without a good signature
	Keys     string      `json:"keys,omitempty"`     // SHA-256 of the keyring that judged them
	// Asc is the SHA-256 of repomd.xml.asc, "" without one: upstreams sign anew what stands still.
	Asc         string `json:"asc,omitempty"`
	AscETag     string `json:"asc_etag,omitempty"`
	AscModified string `json:"asc_modified,omitempty"`
}

func readState(g *tree.Generation) (state, error) {
	s := state{Repos: map[string]repoState{}}
	if g == nil || len(g.Engine) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(g.Engine, &s); err != nil {
		return s, &fault.Error{Kind: fault.Corrupt, Op: "yum: read state", Subject: g.Mirror, Err: err, Advice: "restore the state directory"}
	}
	return s, nil
}

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fingerprint names what cfg wants of a repository, so that a changed spec is applied to what is there.
func (c Config) fingerprint() string {
	h := sha256.New()
	fmt.Fprintln(h, 1, c.Proof)
	if c.Tolerate { // what was mirrored before there was such a thing stays as it is
		fmt.Fprintln(h, "tolerate")
	}
	if c.Filter.active() {
		fmt.Fprintln(h, "filter", 1, c.Filter)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// keyring reads the keys, and the SHA-256 of their file; nil if nothing is to be proved.
func (e *Engine) keyring() (k *rpmrepo.Keyring, id string, err error) {
	if e.cfg.Proof == ByNothing {
		return nil, "", nil
	}
	const op, advice = "yum: read keyring", `give the path of upstream's keys in keyring; proof = "none" asks for no signature`
	data, err := os.ReadFile(e.cfg.Keyring)
	if err == nil {
		k, err = debrepo.ReadKeyring(bytes.NewReader(data))
	}
	if err != nil {
		return nil, "", &fault.Error{Kind: fault.Config, Op: op, Subject: e.cfg.Keyring, Err: err, Advice: advice}
	}
	return k, sha256Of(data), nil
}

// Date returns when the newest repository of a generation was made, zero if none says.
func (s state) date() time.Time {
	var newest int64
	for _, r := range s.Repos {
		newest = max(newest, r.Timestamp)
	}
	if newest == 0 {
		return time.Time{}
	}
	return time.Unix(newest, 0).UTC()
}
