// Package standing keeps how the mirrors of each cycle stand in the storage's state.
//
// A record outlives workers and Temporal's database. Every worker that sees the
// storage tells the same from it: gauges of metrics, and which notices were sent.
package standing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
)

// dir holds the records, beside the mirrors' states: no mirror's name begins with a dot.
const dir = ".cycles"

// Record is what the last cycle of a spec left behind.
type Record struct {
	Status  site.Status       `json:"status"` // carried over the cycles, of no region
	Details map[string]Detail `json:"details,omitempty"`
}

// Detail is what the status page does not show of a mirror.
type Detail struct {
	Missing    int64                     `json:"missing,omitempty"`    // objects that the last plan wanted and that are not there
	ValidUntil time.Time                 `json:"valid_until,omitzero"` // apt: of the suite that runs out first
	Wheels     map[string]map[string]int `json:"wheels,omitempty"`     // platform, state, number of pins
}

// Notice tells of a change.
type Notice struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"` // the same if it is sent twice
	Cycle     string    `json:"cycle"`
	Mirror    string    `json:"mirror"`
	Region    string    `json:"region,omitempty"`
	Condition string    `json:"condition"`        // held, failed, lagging, lacking, recovered
	From      string    `json:"from,omitempty"`   // the condition before, if it was told
	Since     time.Time `json:"since"`            // of the cycle that saw the change
	Text      string    `json:"text"`             // one line for people
	Detail    string    `json:"detail,omitempty"` // as the program reported it
	Run       string    `json:"run,omitempty"`    // a command that helps
}

// Told is what the webhook took last, by subject.
type Told map[string]Notice

// Path is where the record of a cycle is kept.
func Path(state, cycle string) string { return filepath.Join(state, dir, cycle+".json") }

// Read reads the record of a cycle. There is none before its first end.
func Read(state, cycle string) (*Record, error) {
	r := new(Record)
	return r, read(Path(state, cycle), r)
}

// ReadTold reads what was told about a cycle. It is a file of its own: who
// tells and the next cycle do not wait for each other.
func ReadTold(state, cycle string) (Told, error) {
	t := Told{}
	return t, read(toldPath(state, cycle), &t)
}

func toldPath(state, cycle string) string { return filepath.Join(state, dir, cycle+".told") }

func read(path string, into any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("standing: read: %w", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &fault.Error{Kind: fault.Corrupt, Op: "standing: read", Subject: path, Err: err, Advice: "delete it; the next cycle writes it anew"}
	}
	return nil
}

// List names the cycles that have a record.
func List(state string) []string {
	all, err := os.ReadDir(filepath.Join(state, dir))
	if err != nil {
		return nil // no cycle has ended yet, or the disk is away, which the cycles themselves report
	}
	var out []string
	for _, e := range all {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasPrefix(name, ".") {
			out = append(out, name)
		}
	}
	return out
}

// Write replaces the record of a cycle whole. The state must be there: an
// unmounted disk is not an empty one.
func Write(state, cycle string, r *Record) error { return write(Path(state, cycle), r) }

// WriteTold replaces what was told.
func WriteTold(state, cycle string, t Told) error { return write(toldPath(state, cycle), t) }

func write(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("standing: write: %w", err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("standing: write: %w", err)
	}
	if err := durable.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("standing: write: %w", err)
	}
	return nil
}
