package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

const leasePrefix, tmpPrefix = "lease.", "tmp."

func (t *Tree) tmpDir() string { return t.statePath(tmpPrefix + strconv.FormatInt(t.epoch, 10)) }

func (t *Tree) epochDir(part, kind string) string {
	return filepath.Join(t.cfg.Dir, part, private, kind, strconv.FormatInt(t.epoch, 10))
}

// partOf returns the part that p is in, "" for the tree itself.
func (t *Tree) partOf(p string) string {
	in := ""
	for _, part := range t.cfg.Parts {
		if strings.HasPrefix(p, part+"/") && len(part) > len(in) {
			in = part
		}
	}
	return in
}

const stage, trash = "stage", "trash"

// passing keeps the directories of one process in stage/<epoch> and
// trash/<epoch>. They are made when the first file passes through them: a run
// that finds nothing new writes nothing to the tree.
type passing struct {
	mu   sync.Mutex
	made map[string]*passage // by epochDir
}

// passage is what this process has of a stage or a trash.
type passage struct {
	dirs  []string
	names int // that were given out for the newest of dirs
}

// fullPassage is how many names go into one directory: AFS has room for some 64,000.
var fullPassage = 30_000

// pass returns this process's own directory of a kind for one more file, on the
// file system of what is or will be at p. It is made when it is needed, and the
// lease is looked at afterwards: whoever took over either lists the
// directory when it fences, or has its lease seen here. Nobody makes or uses
// another process's directory, so a fenced one stays without.
func (t *Tree) pass(kind, p string) (string, error) {
	above := t.epochDir(t.partOf(p), kind)
	dir, err := t.passage(kind, above)
	if err != nil && fault.KindOf(err) == "" {
		err = t.explain("tree: make", above, err) // it looks at the directories, so it wants their lock
	}
	return dir, err
}

func (t *Tree) passage(kind, above string) (string, error) {
	t.passing.mu.Lock()
	defer t.passing.mu.Unlock()
	have := t.passing.made[above]
	if have != nil && have.names < fullPassage {
		have.names++
		return have.dirs[len(have.dirs)-1], nil
	}
	if t.epoch == 0 {
		return "", t.fenced()
	}
	if have == nil {
		have = &passage{}
	}
	dir := filepath.Join(above, t.nonce+strings.Repeat("+", len(have.dirs)))
	err := os.MkdirAll(dir, 0o755)
	for range 10 { // another process may remove the empty directory above at this moment
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", err
	}
	t.cfg.Crash("pass/" + kind)
	top, err := t.topLease()
	if err == nil && top != t.epoch {
		err = errors.Join(t.fenced(), os.RemoveAll(dir))
		os.Remove(above)
	}
	if err != nil {
		return "", err
	}
	if t.passing.made == nil {
		t.passing.made = map[string]*passage{}
	}
	have.dirs, have.names = append(have.dirs, dir), 1
	t.passing.made[above] = have
	return dir, nil
}

// leave removes this process's directories, and those above that became empty:
// what is released or served has neither stage nor trash.
func (t *Tree) leave() error {
	t.passing.mu.Lock()
	defer t.passing.mu.Unlock()
	var all []error
	for above, have := range t.passing.made {
		for _, dir := range have.dirs {
			all = append(all, removeAll(dir))
		}
		os.Remove(above)
		os.Remove(filepath.Dir(above))
	}
	t.passing.made = nil
	return errors.Join(all...)
}

// Numbered lists the numbers n above 0 of the entries prefix<n> in dir, in no
// order. A missing directory has none.
func Numbered(dir, prefix string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if n, err := strconv.ParseInt(rest, 10, 64); ok && err == nil && n > 0 {
			out = append(out, n)
		}
	}
	return out, nil
}

func (t *Tree) topLease() (int64, error) {
	all, err := Numbered(t.cfg.State, leasePrefix)
	if err != nil {
		return 0, fmt.Errorf("tree: read leases: %w", err)
	}
	var top int64
	for _, n := range all {
		top = max(top, n)
	}
	return top, nil
}

// lease is what a lease file says.
type lease struct {
	Holder string    `json:"holder"`
	Run    string    `json:"run,omitempty"`
	Time   time.Time `json:"time"`
}

// takeLease creates lease file n. O_EXCL makes one of two takers fail with
// fs.ErrExist; trying again with the next number, it fences the other.
func (t *Tree) takeLease(n int64) error {
	record, err := json.Marshal(lease{Holder: t.cfg.Holder, Run: t.cfg.Run, Time: t.cfg.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := durable.Create(t.leasePath(n), append(record, '\n')); err != nil {
		return fmt.Errorf("tree: take lease: %w", err)
	}
	t.epoch = n
	t.cfg.Crash("open/leased")
	return nil
}

func (t *Tree) leasePath(n int64) string { return t.statePath(leasePrefix + strconv.FormatInt(n, 10)) }

func (t *Tree) readLease(n int64) (lease, error) {
	var l lease
	data, err := os.ReadFile(t.leasePath(n))
	if err != nil {
		return l, fmt.Errorf("tree: read lease: %w", err)
	}
	// A holder that died while it wrote left no name; nobody can be that run.
	_ = json.Unmarshal(data, &l)
	return l, nil
}

// Holder returns what the holder of the newest lease wrote into it.
func (t *Tree) Holder() (string, error) {
	top, err := t.topLease()
	if err != nil || top == 0 {
		return "", err
	}
	l, err := t.readLease(top)
	return l.Holder, err
}

// fence removes what older epochs could still rename from, then makes our own
// directory in the state. Only this function makes it: a fenced run cannot bring
// its own back. Those in the tree are made when they are needed (see pass).
func (t *Tree) fence() error {
	type numbered struct{ dir, prefix string }
	var all []numbered
	for _, part := range append([]string{""}, t.cfg.Parts...) {
		for _, kind := range []string{stage, trash} {
			all = append(all, numbered{filepath.Dir(t.epochDir(part, kind)), ""})
		}
	}
	// The leases last: as long as one is there, what it fences may be there too.
	for _, old := range append(all, numbered{t.cfg.State, tmpPrefix}, numbered{t.cfg.State, leasePrefix}) {
		numbers, err := Numbered(old.dir, old.prefix)
		if err != nil {
			return fmt.Errorf("tree: fence: %w", err)
		}
		for _, n := range numbers {
			if n >= t.epoch {
				continue
			}
			if err := removeAll(filepath.Join(old.dir, old.prefix+strconv.FormatInt(n, 10))); err != nil {
				return fmt.Errorf("tree: fence epoch %d: %w", n, err)
			}
			t.cfg.Crash("open/fenced")
		}
	}
	if err := os.MkdirAll(t.tmpDir(), 0o755); err != nil {
		return fmt.Errorf("tree: make %s: %w", t.tmpDir(), err)
	}
	t.cfg.Crash("open/ready")
	// Somebody may have fenced us before this directory was there to be removed.
	top, err := t.topLease()
	if err == nil && top != t.epoch {
		err = errors.Join(t.fenced(), os.RemoveAll(t.tmpDir()))
	}
	return err
}

// removeAll removes a directory into which somebody may still be writing.
func removeAll(dir string) error {
	var err error
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
	}
	return err
}
