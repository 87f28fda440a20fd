// Package apt brings suites of a Debian archive into a tree, byte for byte as upstream signed them.
//
// A suite is the unit: it moves to a new Release as a whole or stays as it is.
// What a suite refers to is kept as a table of the generation, so that a suite
// that changed is compared with its own past and with the other suites only
// where it lets go of something. Terms are those of package debrepo.
package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/tree"
)

// Config says what to mirror.
type Config struct {
	Upstreams  []string // base URLs of one archive, in order of failover
	Suites     []string // "noble"; one that ends in "/" is a flat repository
	Components []string
	// SuiteComponents are the components of suites that have their own.
	SuiteComponents map[string][]string
	Architectures   []string
	Indexes         []string // kinds, as debrepo names them; none is All
	Translations    []string // languages, or All; none for none
	Keyring         string   // path of the keys that may sign
	Replace         bool     // a path that changes its bytes gets the new ones; else its suite stays as it is
	Tolerate        bool     // an object that upstream lacks is left out; else its suite stays as it is
	// IgnoreValidUntil mirrors archived suites, whose last Release has expired.
	IgnoreValidUntil bool
	ByHash           bool // lay indexes down under their digests too, where Release allows it
	Step             tree.Step
	// Room tells how many bytes the contents of indexes may take; nil where the
	// file system cannot say.
	Room func(*tree.Tree) (int64, error)
	Now  func() time.Time
}

// Engine plans and settles apt mirrors.
type Engine struct {
	cfg    Config
	client *fetch.Client
}

// New returns the engine for cfg.
func New(cfg Config, client *fetch.Client) *Engine {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Engine{cfg: cfg, client: client}
}

// state is the engine's note on a generation.
type state struct {
	Suites map[string]suiteState `json:"suites"`
}

// suiteState is what is known of a suite's committed Release.
type suiteState struct {
	ETag         string           `json:"etag,omitempty"`
	LastModified string           `json:"last_modified,omitempty"`
	Is           string           `json:"is,omitempty"`     // what it calls itself: Suite/Codename
	Signer       string           `json:"signer,omitempty"` // fingerprint of its key
	Digest       string           `json:"digest"`           // SHA-256 of the signed text
	Date         time.Time        `json:"date"`
	ValidUntil   time.Time        `json:"valid_until,omitzero"`
	Config       string           `json:"config"`            // what was mirrored of it
	Counts       map[string]int64 `json:"counts,omitempty"`  // packages by component
	ByHash       int64            `json:"by_hash,omitempty"` // index files under their digests, which the tables count as objects
	Table        string           `json:"table"`             // ID of the table of everything that the suite refers to
	Missing      string           `json:"missing,omitempty"` // ID of the table of what its indexes name and upstream does not have
	Notes        []tree.Note      `json:"notes,omitempty"`   // what else was left out of it, and why
}

func readState(g *tree.Generation) (state, error) {
	s := state{Suites: map[string]suiteState{}}
	if g == nil || len(g.Engine) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(g.Engine, &s); err != nil {
		return s, &fault.Error{Kind: fault.Corrupt, Op: "apt: read state", Subject: g.Mirror, Err: err, Advice: "restore the state directory"}
	}
	return s, nil
}

// fingerprint names what cfg wants of a suite, so that a changed spec is applied to what is there.
func (c Config) fingerprint(suite string) string {
	h := sha256.New()
	fmt.Fprintln(h, c.components(suite), c.Architectures, c.Indexes, c.Translations, c.ByHash, c.Tolerate)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func (c Config) components(suite string) []string {
	if own, ok := c.SuiteComponents[suite]; ok {
		return own
	}
	return c.Components
}

func (e *Engine) keyring() (*debrepo.Keyring, error) {
	f, err := os.Open(e.cfg.Keyring)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "apt: read keyring", Subject: e.cfg.Keyring, Err: err,
			Advice: "give the path of upstream's archive keys in keyring"}
	}
	defer f.Close()
	k, err := debrepo.ReadKeyring(f)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "apt: read keyring", Subject: e.cfg.Keyring, Err: err,
			Advice: "it must hold OpenPGP public keys"}
	}
	return k.At(e.cfg.Now), nil
}

// suiteDir is the directory of a suite below the archive's root, "" for a flat repository at the root.
func suiteDir(suite string) string {
	if flat, ok := strings.CutSuffix(suite, "/"); ok {
		return strings.TrimPrefix(strings.TrimPrefix(flat, "."), "/")
	}
	return "dists/" + suite
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// ValidUntil returns when clients begin to refuse the first of a generation's
// suites, zero if none of them says.
func ValidUntil(g *tree.Generation) (time.Time, error) {
	s, err := readState(g)
	var first time.Time
	for _, suite := range s.Suites {
		if v := suite.ValidUntil; !v.IsZero() && (first.IsZero() || v.Before(first)) {
			first = v
		}
	}
	return first, err
}
