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

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
)

// dir holds the records, beside the mirrors' states: no mirror's name begins with a dot.
const dir = ".cycles"

// Record is what the last cycle of a spec left behind.
type Record struct {
	Status  site.Status       `json:"status"` // carried over the cycles, of no region
	Details map[string]Detail `json:"details,omitempty"`
	Told    map[string]Notice `json:"told,omitempty"` // by subject: the last notice that was taken
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
	Condition string    `json:"condition"`        // held, failed, lagging, recovered
	From      string    `json:"from,omitempty"`   // the condition before, if it was told
	Since     time.Time `json:"since"`            // of the cycle that saw the change
	Text      string    `json:"text"`             // one line for people
	Detail    string    `json:"detail,omitempty"` // as the program reported it
	Run       string    `json:"run,omitempty"`    // a command that helps
}

// Path is where the record of a cycle is kept.
func Path(state, cycle string) string { return filepath.Join(state, dir, cycle+".json") }

// Read reads the record of a cycle. There is none before its first end.
func Read(state, cycle string) (*Record, error) {
	data, err := os.ReadFile(Path(state, cycle))
	if errors.Is(err, fs.ErrNotExist) {
		return new(Record), nil
	}
	if err != nil {
		return nil, fmt.Errorf("standing: read: %w", err)
	}
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "standing: read", Subject: Path(state, cycle), Err: err, Advice: "delete it; the next cycle writes it anew"}
	}
	return r, nil
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
func Write(state, cycle string, r *Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("standing: write: %w", err)
	}
	if err := os.Mkdir(filepath.Join(state, dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("standing: write: %w", err)
	}
	f, err := os.CreateTemp(filepath.Join(state, dir), "."+cycle+".*")
	if err != nil {
		return fmt.Errorf("standing: write: %w", err)
	}
	defer os.Remove(f.Name()) // it is gone if all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), Path(state, cycle))
	}
	if err != nil {
		return fmt.Errorf("standing: write: %w", err)
	}
	return nil
}
