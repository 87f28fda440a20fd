package tree

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Item is one object that a plan wants in the tree.
type Item struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"` // bytes, -1 if upstream does not say
	SHA256 string `json:"sha256,omitempty"`
	SHA512 string `json:"sha512,omitempty"`
	// Source is where to download it: an absolute URL, or a path below the mirror's upstreams.
	Source string `json:"source,omitempty"`
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
}

// PlanInfo sums a plan up.
type PlanInfo struct {
	Tree         string   `json:"tree"`
	Base         int64    `json:"base"`          // the generation planned from, 0 for none
	Changed      bool     `json:"changed"`       // false: there is nothing to commit
	Objects      int64    `json:"objects"`       // to have, by download or from kept content
	Bytes        int64    `json:"bytes"`         // of them
	Shards       int      `json:"shards"`        // of the fetch list
	Adds         int64    `json:"adds"`          // objects the next generation names in addition
	Drops        int64    `json:"drops"`         // objects it no longer names
	BaseObjects  int64    `json:"base_objects"`  // objects of the base
	IndexChanges int64    `json:"index_changes"` // index files written or removed
	Emptied      []string `json:"emptied,omitempty"`
	Deferred     []Note   `json:"deferred,omitempty"`
	Upstream     Upstream `json:"upstream"`
}

// A shard of the fetch list ends after this many objects or bytes: a shard
// costs a syncfs and some events of history, and is what one worker takes.
const (
	shardObjects = 4000
	shardBytes   = 1 << 30
)

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
	if it.SHA256 == "" && it.SHA512 == "" {
		return &fault.Error{Kind: fault.Unproved, Op: "tree: plan", Subject: it.Path, Err: errors.New("no digest"),
			Advice: "the index must give a SHA-256 or SHA-512"}
	}
	if w.info.Shards == 0 || w.shard.objects >= shardObjects || w.shard.bytes >= shardBytes {
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
		return nil
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

// Finish stores the plan under the digest of its content and returns that
// digest. A plan that changes nothing is not stored and has none.
func (w *PlanWriter) Finish() (digest string, info PlanInfo, err error) {
	defer w.Discard()
	if !w.info.Changed {
		return "", w.info, nil
	}
	out, err := w.Create(planFile)
	if err != nil {
		return "", w.info, err
	}
	if err := writeJSON(out, w.info); err != nil {
		return "", w.info, err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(keys(w.files)) {
		sum, err := w.files[name].finish()
		if err != nil {
			return "", w.info, w.t.explain("tree: plan", name, err)
		}
		fmt.Fprintf(h, "%s %x\n", name, sum)
	}
	digest = hex.EncodeToString(h.Sum(nil))
	if err := w.t.stateDir(w.t.statePath("plan")); err != nil {
		return "", w.info, err
	}
	// Its name vouches for its content, also after a power cut.
	if err := syncfs(w.t.cfg.State); err != nil {
		return "", w.info, w.t.explain("tree: plan", digest, err)
	}
	name := w.t.statePath("plan", digest)
	err = os.Rename(w.dir, name)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		now := time.Now()
		err = os.Chtimes(name, now, now) // the same plan was made before; its results stand
	}
	return digest, w.info, w.t.explain("tree: plan", digest, err)
}

func keys[V any](m map[string]V) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (o *planOutput) finish() ([]byte, error) {
	if err := o.w.Flush(); err != nil {
		return nil, err
	}
	in, err := os.Open(o.f.Name())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h := sha256.New()
	_, err = io.Copy(h, in)
	return h.Sum(nil), errors.Join(err, o.f.Close())
}

// Plan is a stored plan.
type Plan struct {
	t      *Tree
	Digest string
	Info   PlanInfo
}

// OpenPlan opens the plan that Finish named.
func (t *Tree) OpenPlan(digest string) (*Plan, error) {
	if _, err := manifest.ParseDigest(digest); err != nil {
		return nil, fmt.Errorf("tree: open plan: %w", err)
	}
	p := &Plan{t: t, Digest: digest}
	data, err := os.ReadFile(p.path(planFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Kind: fault.Gone, Op: "tree: open plan", Subject: digest, Advice: "plan again"}
	}
	if err != nil {
		return nil, fmt.Errorf("tree: open plan %s: %w", digest, err)
	}
	if err := json.Unmarshal(data, &p.Info); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "tree: open plan", Subject: digest, Err: err, Advice: "nothing to do: the next run plans anew"}
	}
	return p, nil
}

func (p *Plan) path(name string) string { return p.t.statePath("plan", p.Digest, name) }

// Open opens a file that the engine created in the plan.
func (p *Plan) Open(name string) (*os.File, error) { return os.Open(p.path(name)) }

// Items yields the objects of a shard, counted from 0.
func (p *Plan) Items(shard int) iter.Seq2[Item, error] {
	return readJSON[Item](p.path(shardName(shard)))
}

// Drops yields the paths that the plan drops, in the order they were added.
func (p *Plan) Drops() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := p.Open(dropsFile)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if !yield(lines.Text(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield("", err)
		}
	}
}

func readJSON[T any](name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(*new(T), err)
			return
		}
		defer f.Close()
		dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
		for {
			var v T
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func doneName(shard int) string { return "done." + strconv.Itoa(shard) }

// Done makes the results of a shard durable, after its objects.
func (p *Plan) Done(shard int, results []Result) error {
	if err := p.t.Sync(); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range results {
		if err := writeJSON(&b, r); err != nil {
			return err
		}
	}
	return p.t.writeState([]byte(b.String()), "plan", p.Digest, doneName(shard))
}

// IsDone reports whether the shard's results are there.
func (p *Plan) IsDone(shard int) bool {
	_, err := os.Stat(p.path(doneName(shard)))
	return err == nil
}

// Results yields the results of a shard that is done.
func (p *Plan) Results(shard int) iter.Seq2[Result, error] {
	return readJSON[Result](p.path(doneName(shard)))
}

// Redo forgets the results of the shards in which something failed, or of which
// an object is there no more, so that the next fetch tries again.
func (p *Plan) Redo() error {
	for shard := range p.Info.Shards {
		if !p.IsDone(shard) {
			continue
		}
		stands, err := p.stands(shard)
		if err != nil {
			return err
		}
		if !stands {
			if err := p.t.dropState("plan", p.Digest, doneName(shard)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Plan) stands(shard int) (bool, error) {
	for r, err := range p.Results(shard) {
		if err != nil {
			return false, err
		}
		if r.Error != "" {
			return false, nil
		}
		if size, there, err := p.t.Stat(r.Path); err != nil || !there || size != r.Size {
			return false, err
		}
	}
	return true, nil
}

// Lacking returns the bytes of a shard's objects that are not in the tree yet.
func (p *Plan) Lacking(shard int) (int64, error) {
	var lacking int64
	for it, err := range p.Items(shard) {
		if err != nil {
			return 0, err
		}
		size, there, err := p.t.Stat(it.Path)
		if err != nil && fault.KindOf(err) == "" {
			return 0, err
		}
		if !there || size != it.Size {
			lacking += max(it.Size, 0)
		}
	}
	return lacking, nil
}
