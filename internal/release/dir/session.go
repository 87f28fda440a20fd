package dir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// session is the right to write to the mirror's part of a region, until
// somebody else takes it over.
type session struct {
	*Region
	disks  *durable.Disks
	epoch  int64
	staged bool // our stage was made
	seq    atomic.Int64
}

const leasePrefix, stagePrefix = "lease.", "stage-"

// write takes the lease, discards what a dead attempt left, and runs f.
func (r *Region) write(f func(*session) error) error {
	if err := r.check(); err != nil {
		return err
	}
	disks, err := durable.Hold(r.Dir) // before the first write
	if err != nil {
		return fmt.Errorf("dir: open %s: %w", r.Dir, err)
	}
	defer disks.Close()
	for _, d := range []string{".", views, below, spare, "gens", "drops", "replaced", "segments", "fetched"} {
		if err := mkdir(r.path(d)); err != nil {
			return fmt.Errorf("dir: make %s: %w", r.path(d), err)
		}
	}
	s := &session{Region: r, disks: disks}
	err = s.takeLease()
	if err == nil {
		err = s.fence()
	}
	if err == nil {
		err = s.recover()
	}
	if err == nil {
		err = f(s)
	}
	return s.explain(err)
}

func (s *session) stage(elem ...string) string {
	return s.path(append([]string{stagePrefix + strconv.FormatInt(s.epoch, 10)}, elem...)...)
}

// temp returns a fresh name in the stage.
func (s *session) temp() string { return s.stage("t" + strconv.FormatInt(s.seq.Add(1), 10)) }

func (s *session) takeLease() error {
	record, err := json.Marshal(map[string]string{"holder": s.Holder, "time": s.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	for {
		top, err := s.topLease()
		if err != nil {
			return err
		}
		err = durable.Create(s.path(leasePrefix+strconv.FormatInt(top+1, 10)), append(record, '\n'))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("dir: take lease: %w", err)
		}
		s.epoch = top + 1
		s.Crash("open/leased")
		return nil
	}
}

func (s *session) topLease() (int64, error) {
	all, err := tree.Numbered(s.path(), leasePrefix)
	if err != nil {
		return 0, fmt.Errorf("dir: read leases: %w", err)
	}
	var top int64
	for _, n := range all {
		top = max(top, n)
	}
	return top, nil
}

// fence removes what older epochs could still rename from, then makes our own
// stage. Only this function makes one: a fenced run cannot bring its own back.
func (s *session) fence() error {
	for _, prefix := range []string{stagePrefix, leasePrefix} {
		old, err := tree.Numbered(s.path(), prefix)
		if err != nil {
			return fmt.Errorf("dir: fence: %w", err)
		}
		for _, n := range old {
			if n >= s.epoch {
				continue
			}
			if err := removeAll(s.path(prefix + strconv.FormatInt(n, 10))); err != nil {
				return fmt.Errorf("dir: fence epoch %d: %w", n, err)
			}
			s.Crash("open/fenced")
		}
	}
	if err := mkdir(s.stage()); err != nil {
		return fmt.Errorf("dir: make stage: %w", err)
	}
	s.staged = true
	s.Crash("open/ready")
	// Somebody may have fenced us before there was a stage to remove.
	top, err := s.topLease()
	if err == nil && top != s.epoch {
		err = errors.Join(s.fenced(), os.RemoveAll(s.stage()))
	}
	// A flip that a killed run made is durable before anything relies on it.
	return errors.Join(err, durable.SyncDir(s.Dir))
}

// recover discards what a dead attempt left above the generation that is served.
func (s *session) recover() error {
	cur, err := s.current()
	if err != nil {
		return err
	}
	var n int64
	if cur != nil {
		n = cur.Number
	}
	for _, dir := range []string{filepath.Join(s.Dir, releases, s.Mirror), s.path(views), s.path(below), s.path("drops"), s.path("replaced"), s.path("gens")} {
		all, err := tree.Numbered(dir, "")
		if err != nil {
			return fmt.Errorf("dir: look for a dead attempt: %w", err)
		}
		for _, above := range all {
			if above <= n {
				continue
			}
			if err := s.discard(filepath.Join(dir, strconv.FormatInt(above, 10))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) fenced() error {
	return &fault.Error{Kind: fault.Fenced, Op: "dir: write", Subject: s.path(),
		Err: fmt.Errorf("epoch %d has been taken over", s.epoch), Advice: "nothing to do: the newer run goes on"}
}

// explain turns whatever became of a fenced run into fault.Fenced, and a full disk into fault.NoSpace.
func (s *session) explain(err error) error {
	if s.staged && !errors.Is(err, fault.Fenced) {
		if _, gone := os.Lstat(s.stage()); errors.Is(gone, fs.ErrNotExist) {
			return s.fenced()
		}
	}
	return durable.NoSpace("dir: write", s.Dir, err)
}

// put writes a file whole, durably; a fenced run cannot.
func (s *session) put(name string, data []byte) error {
	temp := s.temp()
	s.Crash("put/" + filepath.Base(filepath.Dir(name)))
	if err := durable.Create(temp, data); err != nil {
		return fmt.Errorf("dir: write %s: %w", name, err)
	}
	return s.move(temp, name)
}

// move renames a staged file into place.
func (s *session) move(temp, name string) error {
	s.Crash("move/" + filepath.Base(filepath.Dir(name)))
	if err := durable.Move(temp, name); err != nil {
		return fmt.Errorf("dir: write: %w", err)
	}
	return nil
}

// discard takes a file, link or directory away; a fenced run cannot. A missing one is no error.
func (s *session) discard(name string) error {
	temp := s.temp()
	s.Crash("discard/" + filepath.Base(filepath.Dir(name)))
	err := durable.Rename(name, temp)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Lstat(s.stage()); gone == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("dir: remove: %w", err)
	}
	return removeAll(temp)
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

// mkdir makes one directory; its parent must be there, so that nothing is ever
// made below a mount point whose disk is gone.
func mkdir(name string) error {
	if err := os.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
