// Package wheels keeps the states of wheels that are built for platforms, plans their builds, and merges them with their index mirror's pages.
//
// A wheels mirror has an index mirror, which is of kind pypi. Somebody wants
// pins (a project at a version) on platforms; what the index has no usable wheel
// of is built from its source distribution. Every pin on every platform is in
// one state at any time. What was built is kept under the digest of its bytes
// and is never built again; it has a file name of its own, with a build tag, and
// never that of a file of the index.
//
// Below the mirror's state directory:
//
//	builds/<platform>.journal    what became of the builds; see Record
//	builds/<platform>.json       what the platform is; see Facts
//	builds/<platform>.plan/<digest>   lists of builds
//	built/<digest>  logs/<digest>     own wheels and logs of builds
//	names/<file>                 whose bytes have that name in the index, for ever
//	unwanted.json                since when nobody wants a wheel or a log
//	inbox/<platform>/<attempt>/       what a build worker hands over
package wheels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/wheel"
)

// Pin is a project at a version.
type Pin struct {
	Name    string `json:"name"` // normalised
	Version string `json:"version"`
}

// String renders the pin as a constraint does.
func (p Pin) String() string { return p.Name + "===" + p.Version }

// ParsePin reads name===version or name==version.
func ParsePin(s string) (Pin, error) {
	name, version, ok := strings.Cut(s, "==")
	version = strings.TrimPrefix(version, "=")
	p := Pin{Name: normalize(strings.TrimSpace(name)), Version: strings.TrimSpace(version)}
	if !ok || !validPin(p) {
		return p, &fault.Error{Kind: fault.Config, Op: "wheels: read pin", Subject: fmt.Sprintf("%.100q", s), Err: errors.New("not a pin"),
			Advice: "write one as constraints do: name===version"}
	}
	return p, nil
}

// State is what a pin is on a platform.
type State string

// The states.
const (
	Built    State = "built"    // there is an own wheel
	Upstream State = "upstream" // the index has a usable wheel
	Failed   State = "failed"   // the last build failed, and the next one is not due
	Skipped  State = "skipped"  // a person decided so
	Due      State = "due"      // to be built now
	Waiting  State = "waiting"  // for another platform, whose wheel may serve this one too

	// Elsewhere is a pin that is required on other platforms only. It has no row here.
	Elsewhere State = "elsewhere"
)

// again is the state of a record by which a person asks for another attempt.
const again State = "again"

// Classes of failures that the index decides. NoSource comes before any build:
// the index has no source distribution of the pin. With BadSource what it has is
// missing on disk or has other bytes; with Lacking it has nothing that meets a
// requirement of the build.
const (
	NoSource  = "no-source"
	BadSource = "source"
	Lacking   = "dependency"
)

// Record is what became of a pin on a platform, one line of the journal.
type Record struct {
	Pin
	State   State     `json:"state"`
	At      time.Time `json:"at"`
	Attempt string    `json:"attempt,omitempty"` // the inbox that it came from
	Source  string    `json:"source,omitempty"`  // SHA-256 of the source distribution
	Log     string    `json:"log,omitempty"`     // SHA-256 of the build's log

	File           string   `json:"file,omitempty"` // built: its name in the index
	SHA256         string   `json:"sha256,omitempty"`
	Size           int64    `json:"size,omitempty"` // bytes
	Metadata       string   `json:"metadata,omitempty"`
	MetadataSize   int64    `json:"metadata_size,omitempty"` // bytes
	RequiresPython string   `json:"requires_python,omitempty"`
	Libraries      []string `json:"libraries,omitempty"` // of the platform, that it needs
	Shared         bool     `json:"shared,omitempty"`    // the same everywhere, so other platforms may have it
	// Facts is the platform that it was built on, or failed on; nil in journals of
	// earlier versions. Compiled and ByPython say what of it the wheel is bound to.
	Facts    *wheel.Platform `json:"facts,omitempty"`
	Compiled bool            `json:"compiled,omitempty"`  // to machine and libc
	ByPython bool            `json:"by_python,omitempty"` // to the Python, whatever its tags say

	Class   string    `json:"class,omitempty"` // failed
	Message string    `json:"message,omitempty"`
	Next    time.Time `json:"next,omitzero"`   // failed: when it is due again
	Known   bool      `json:"known,omitempty"` // failed: as the attempt before did
	Lacks   string    `json:"lacks,omitempty"` // failed: the requirement that the index could not meet
	Saw     int       `json:"saw,omitempty"`   // failed: files of the index that seem to meet it
	Path    string    `json:"path,omitempty"`  // failed for its source: where that is in the index mirror

	Rebuild bool `json:"rebuild,omitempty"` // again: also what is built

	Reason string    `json:"reason,omitempty"` // skipped
	Until  time.Time `json:"until,omitzero"`   // skipped: zero is for ever
}

// Entry is what the journal says of one pin.
type Entry struct {
	Built    *Record
	Failed   *Record // since the last success or the last request for another attempt
	Skipped  *Record
	First    time.Time // when it was first found that the index has no wheel
	Attempts int       // failed ones since the last success
	Files    []string  // names of all wheels that were ever built of it
	Rebuild  bool      // Built is to be replaced: a person asked for it since
	Lacked   []string  // requirements that builds of it could not have met, sorted
}

// Log is what a platform's journal says.
type Log map[Pin]Entry

// Store keeps the states of one wheels mirror.
type Store struct {
	State string           // the mirror's state directory
	Now   func() time.Time // time.Now if nil
}

func (s Store) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC()
	}
	return s.Now().UTC()
}

func (s Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.State}, elem...)...)
}

func (s Store) blob(kind, digest string) string { return s.path(kind, digest) }

func (s Store) journal(platform string) string { return s.path("builds", platform+".journal") }

// Read returns what the journal of a platform says.
func (s Store) Read(platform string) (Log, error) {
	texts, err := journal.Read(s.journal(platform))
	if err != nil {
		return nil, err
	}
	log := Log{}
	for _, text := range texts {
		var r Record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, &fault.Error{Kind: fault.Corrupt, Op: "wheels: read journal", Subject: s.journal(platform), Err: err, Advice: "restore the file"}
		}
		log.add(r)
	}
	return log, nil
}

func (l Log) add(r Record) {
	e := l[r.Pin]
	switch r.State {
	case Built:
		e.Built, e.Failed, e.Attempts, e.Rebuild = &r, nil, 0, false
		e.Files = append(e.Files, r.File)
	case Failed:
		e.Failed = &r
		e.Attempts++
		if i, known := slices.BinarySearch(e.Lacked, r.Lacks); r.Lacks != "" && !known {
			e.Lacked = slices.Insert(slices.Clone(e.Lacked), i, r.Lacks)
		}
	case Skipped:
		e.Skipped = &r
	case again:
		e.Failed, e.Skipped = nil, nil
		e.Rebuild = e.Rebuild || r.Rebuild
	}
	if e.First.IsZero() && (r.State == Built || r.State == Failed) {
		e.First = r.At
	}
	l[r.Pin] = e
}

func (s Store) append(platform string, r Record) error {
	r.At = s.now()
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.mkdir("builds"); err != nil {
		return err
	}
	return journal.Append(s.journal(platform), string(data))
}

func (s Store) mkdir(elem ...string) error {
	// The state's own directory is made by setup only: below a mount point whose
	// disk is gone nothing must be made.
	if _, err := os.Stat(s.State); err != nil {
		return fmt.Errorf("wheels: look at the state: %w", err)
	}
	if err := os.MkdirAll(s.path(elem...), 0o755); err != nil {
		return fmt.Errorf("wheels: make directory: %w", err)
	}
	return nil
}

// Retry makes a pin due again, also if it was skipped.
func (s Store) Retry(platform string, p Pin) error {
	return s.append(platform, Record{Pin: p, State: again})
}

// Rebuild makes a pin due again although it is built: clients keep the wheel that
// there is until there is another one, under the next build number.
func (s Store) Rebuild(platform string, p Pin) error {
	return s.append(platform, Record{Pin: p, State: again, Rebuild: true})
}

// Skip keeps a pin from being built, and its own wheel off the index, until a
// time; the zero time is for ever.
func (s Store) Skip(platform string, p Pin, reason string, until time.Time) error {
	return s.append(platform, Record{Pin: p, State: Skipped, Reason: reason, Until: until})
}

// askAgain is for how long it is believed that a platform is what it was.
const askAgain = 12 * time.Hour

// Ask reports whether it is time to ask a platform again what it is: its root
// may have got another Python.
func (s Store) Ask(platform string) bool {
	st, err := os.Stat(s.path("builds", platform+".json"))
	return err == nil && s.now().Sub(st.ModTime()) > askAgain
}

// SetFacts notes what a platform is, now.
func (s Store) SetFacts(platform string, p wheel.Platform) error {
	if err := p.Check(); err != nil {
		return err
	}
	old, err := s.Facts(platform)
	if err != nil {
		return err
	}
	if old == p {
		return os.Chtimes(s.path("builds", platform+".json"), s.now(), s.now())
	}
	data, err := json.Marshal(p)
	if err == nil {
		err = s.mkdir("builds")
	}
	if err != nil {
		return err
	}
	name := s.path("builds", platform+".json")
	return durable.Replace(name, append(data, '\n'), 0o644)
}

// Facts returns what a platform is, the zero value as long as nobody has said.
func (s Store) Facts(platform string) (wheel.Platform, error) {
	var p wheel.Platform
	name := s.path("builds", platform+".json")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		return p, fmt.Errorf("wheels: read what platform %s is: %w", platform, err)
	}
	return p, nil
}

// has reports whether the own wheel of a record is kept.
func (s Store) has(r *Record) bool {
	if r == nil {
		return false
	}
	st, err := os.Stat(s.blob("built", r.SHA256))
	return err == nil && st.Size() == r.Size
}
