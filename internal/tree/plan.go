package tree

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Item is one object that a plan wants in the tree.
type Item struct {
	Path string `json:"path"`
	Size int64  `json:"size"` // bytes, -1 if upstream does not say
	// Loose: Size is what upstream's index says, and need not be right; the digest decides.
	Loose  bool   `json:"loose,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	SHA512 string `json:"sha512,omitempty"`
	// Checksum is "<algorithm>:<digits>" where upstream gives nothing stronger than SHA-1 or a rare algorithm.
	Checksum string `json:"checksum,omitempty"`
	// Source is where to download it: an absolute URL, or a path below the mirror's upstreams.
	Source string `json:"source,omitempty"`
	// Upstreams are base URLs in place of the mirror's, as a list of servers gave them.
	Upstreams []string `json:"upstreams,omitempty"`
	// Kept is set instead of Source for content that PutIndex holds under SHA256.
	Kept bool `json:"kept,omitempty"`
	// Metadata asks for the wheel's METADATA to be laid beside it (PEP 658).
	Metadata bool `json:"metadata,omitempty"`
	// Unit is what stays old if this object cannot be had: a suite, a project.
	Unit string `json:"unit,omitempty"`
}

// Result says what became of one item: an entry, or the failure.
type Result struct {
	Path     string `json:"path"`
	Size     int64  `json:"size,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Derived  bool   `json:"derived,omitempty"` // extracted from a proved object, not asked for by itself
	Bytes    int64  `json:"bytes,omitempty"`   // downloaded for it, 0 if it was there
	Kind     string `json:"kind,omitempty"`    // the fault's kind, if it failed
	Error    string `json:"error,omitempty"`
	Conflict bool   `json:"conflict,omitempty"`
}

// Note names a unit that a plan leaves as it is, and why.
type Note struct {
	Unit  string `json:"unit"`
	Kind  string `json:"kind"`
	Error string `json:"error"`
	// Standing: nothing of the mirror is behind upstream, and another try gives the
	// same answer until upstream or what is asked of it changes. Known: an earlier
	// run told of it already.
	Standing bool  `json:"standing,omitempty"`
	Known    bool  `json:"known,omitempty"`
	Count    int64 `json:"count,omitempty"` // things that it tells of; 0 is one
}

// PlanInfo sums a plan up.
type PlanInfo struct {
	Tree         string `json:"tree"`
	Base         int64  `json:"base"`                   // the generation planned from, 0 for none
	Changed      bool   `json:"changed"`                // false: there is nothing to commit
	Objects      int64  `json:"objects"`                // to have, by download or from kept content
	Bytes        int64  `json:"bytes"`                  // of them
	Shards       int    `json:"shards"`                 // of the fetch list
	Adds         int64  `json:"adds"`                   // objects the next generation names in addition
	Drops        int64  `json:"drops"`                  // objects it no longer names
	BaseObjects  int64  `json:"base_objects"`           // objects of the base
	IndexChanges int64  `json:"index_changes"`          // index files written or removed
	Urgent       int64  `json:"urgent,omitempty"`       // of Drops: upstream quarantined them, and they go at once
	UrgentUnits  int64  `json:"urgent_units,omitempty"` // projects that they are of
	// What upstream lists and the mirror has not, however long it is known: missing
	// could not be had up to now, refused cannot be believed.
	Missing int64 `json:"missing,omitempty"`
	Refused int64 `json:"refused,omitempty"`
	// Left is how many units wait for a later plan, because this one is a step.
	Left     int64    `json:"left,omitempty"`
	Emptied  []string `json:"emptied,omitempty"`
	Renamed  []string `json:"renamed,omitempty"` // units that are something else upstream than what was asked for
	Jumps    []string `json:"jumps,omitempty"`   // serials and dates so far ahead that all that comes later would count as old
	Deferred []Note   `json:"deferred,omitempty"`
	// Removals is the SHA-256 of what a person would approve: the paths of Drops, Emptied,
	// Renamed and what Jumps; "" if that is nothing. It stays the same while upstream only adds.
	Removals string   `json:"removals,omitempty"`
	Upstream Upstream `json:"upstream"`
}

// A shard of the fetch list ends after so many objects or bytes: a shard costs a
// syncfs and some events of history, and is what one worker takes. The first
// ones are small, in pairs, so that a small plan is work for several workers, too.
const (
	firstObjects, shardObjects int64 = 250, 4000
	firstBytes, shardBytes     int64 = 64 << 20, 1 << 30
)

// shardIsFull reports whether shard n, which has so much, is to get no more.
func shardIsFull(n int, objects, bytes int64) bool {
	double := min(n/2, 4)
	return objects >= min(firstObjects<<double, shardObjects) || bytes >= min(firstBytes<<double, shardBytes)
}

// maxObject is the largest size of an object that is believed, in bytes. Sums of
// absurd ones would overflow, and an endless answer find room on every disk.
const maxObject = 1 << 40

const planFile, dropsFile = "plan.json", "drops"

// PlanWriter collects a plan. Nothing of it is visible until Finish.
type PlanWriter struct {
	t     *Tree
	dir   string
	info  PlanInfo
	files map[string]*planOutput
	shard struct{ objects, bytes int64 }

	base     *manifest.Manifest // read when first asked for
	retained map[string]manifest.Entry
}

type planOutput struct {
	f *os.File
	w *bufio.Writer
}

// NewPlan starts a plan from the committed generation base, which may be nil.
func (t *Tree) NewPlan(base *Generation) (*PlanWriter, error) {
	w := &PlanWriter{t: t, dir: t.tempName(), files: map[string]*planOutput{}}
	w.info.Tree = t.id.Tree
	if base != nil {
		w.info.Base, w.info.BaseObjects = base.Number, base.Totals.Objects
	}
	return w, t.explain("tree: plan", w.dir, os.Mkdir(w.dir, 0o755))
}

// Create opens a file of the plan for the engine's own use.
func (w *PlanWriter) Create(name string) (io.Writer, error) {
	if o := w.files[name]; o != nil {
		return o.w, nil
	}
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, w.t.explain("tree: plan", name, err)
	}
	o := &planOutput{f: f, w: bufio.NewWriterSize(f, 1<<16)}
	w.files[name] = o
	return o.w, nil
}

// Fetch adds an object to the fetch list.
func (w *PlanWriter) Fetch(it Item) error {
	if err := CheckPath(it.Path); err != nil {
		return err
	}
	if it.SHA256 == "" && it.SHA512 == "" && it.Checksum == "" {
		return &fault.Error{Kind: fault.Unproved, Op: "tree: plan", Subject: it.Path, Err: errors.New("no digest"),
			Advice: "the index must give a SHA-256 or SHA-512"}
	}
	if it.Size > maxObject {
		return &fault.Error{Kind: fault.Hostile, Op: "tree: plan", Subject: it.Path, Err: fmt.Errorf("it has %d bytes", it.Size),
			Advice: "no package is that large; tell upstream"}
	}
	if w.info.Shards == 0 || shardIsFull(w.info.Shards-1, w.shard.objects, w.shard.bytes) {
		w.info.Shards++
		w.shard.objects, w.shard.bytes = 0, 0
	}
	out, err := w.Create(shardName(w.info.Shards - 1))
	if err != nil {
		return err
	}
	w.shard.objects++
	w.shard.bytes += max(it.Size, 0)
	w.info.Objects++
	w.info.Bytes += max(it.Size, 0)
	return writeJSON(out, it)
}

// Want makes sure that the next generation has the object it: it is added to
// the fetch list unless the tree holds it already, named or still retained.
// The error wraps fault.Conflict if the path holds other bytes, which an index
// that clients may still have promises to them.
func (w *PlanWriter) Want(it Item) error {
	held, ok, err := w.held(it.Path)
	if err != nil {
		return err
	}
	switch {
	case !ok, it.SHA256 == "":
		return w.Fetch(it)
	case held.Digest.String() == it.SHA256 && (it.Size < 0 || held.Size == it.Size):
		// A retained one is looked for, because a reaping may have been cut short.
		size, there, err := w.t.Stat(it.Path)
		if err != nil || there && size == held.Size {
			return err
		}
		return w.Fetch(it)
	}
	return &fault.Error{Kind: fault.Conflict, Op: "tree: plan", Subject: it.Path,
		Err:    fmt.Errorf("the tree holds %s (%d bytes), upstream now names %s (%d bytes)", held.Digest, held.Size, it.SHA256, it.Size),
		Advice: "upstream changed a file under its name; see on-conflict in the spec"}
}

// Held returns the entry of an object that the base names or that is still retained.
func (w *PlanWriter) Held(path string) (manifest.Entry, bool, error) { return w.held(path) }

func (w *PlanWriter) held(path string) (manifest.Entry, bool, error) {
	if w.base == nil {
		g, err := w.t.Committed()
		if err != nil {
			return manifest.Entry{}, false, err
		}
		if w.base, err = w.t.ManifestOf(g); err != nil {
			return manifest.Entry{}, false, err
		}
		if w.retained, err = w.t.Retained(); err != nil {
			return manifest.Entry{}, false, err
		}
	}
	if e, ok, err := w.base.Lookup(path); ok || err != nil {
		return e, ok, err
	}
	e, ok := w.retained[path]
	return e, ok, nil
}

func shardName(n int) string { return "fetch." + strconv.Itoa(n) }

func writeJSON(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	return err
}

// Drop adds an object to the list of what the next generation no longer names.
func (w *PlanWriter) Drop(path string) error {
	out, err := w.Create(dropsFile)
	if err == nil {
		w.info.Drops++
		_, err = io.WriteString(out, path+"\n")
	}
	return err
}

// Info is the summary so far; the engine fills in what only it knows.
func (w *PlanWriter) Info() *PlanInfo { return &w.info }

// Discard forgets the plan.
func (w *PlanWriter) Discard() {
	for _, o := range w.files {
		o.f.Close()
	}
	os.RemoveAll(w.dir)
}
