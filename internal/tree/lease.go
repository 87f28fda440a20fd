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
	"time"
)

const leasePrefix, tmpPrefix = "lease.", "tmp."

func (t *Tree) stageDir() string { return t.epochDir("stage") }
func (t *Tree) trashDir() string { return t.epochDir("trash") }
func (t *Tree) tmpDir() string   { return t.statePath(tmpPrefix + strconv.FormatInt(t.epoch, 10)) }

func (t *Tree) epochDir(kind string) string {
	return filepath.Join(t.cfg.Dir, private, kind, strconv.FormatInt(t.epoch, 10))
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
	f, err := os.OpenFile(t.leasePath(n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("tree: take lease: %w", err)
	}
	_, err = f.Write(append(record, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
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
// directories. Only this function makes them: a fenced run cannot bring its own back.
func (t *Tree) fence() error {
	mirror := filepath.Join(t.cfg.Dir, private)
	for _, old := range []struct{ dir, prefix string }{
		{filepath.Join(mirror, "stage"), ""}, {filepath.Join(mirror, "trash"), ""}, {t.cfg.State, tmpPrefix}, {t.cfg.State, leasePrefix},
	} {
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
	for _, dir := range []string{t.stageDir(), t.trashDir(), t.tmpDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("tree: make %s: %w", dir, err)
		}
	}
	t.cfg.Crash("open/ready")
	// Somebody may have fenced us before these directories were there to be removed.
	top, err := t.topLease()
	if err == nil && top != t.epoch {
		err = errors.Join(t.fenced(), os.RemoveAll(t.stageDir()), os.RemoveAll(t.trashDir()), os.RemoveAll(t.tmpDir()))
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
