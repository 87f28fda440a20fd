// Package tree keeps the files of one mirror safely: identity, lease, staging, generations and delayed removal.
//
// A tree is two directories: the tree itself, laid out as clients see it, and
// the state beside it, which clients never see. Exactly one run at a time may
// write, the holder of the highest lease; its number is the epoch. Everything
// lands by a rename out of stage/<epoch> and goes by a rename into
// trash/<epoch>, and whoever takes over removes those directories of older
// epochs first: a run that wakes up late then fails with fault.Fenced instead
// of changing anything.
//
// The layout:
//
//	<dir>/.mirror/id                identity, made by Setup only
//	<dir>/.mirror/generation.json   what the tree serves (see Generation)
//	<dir>/.mirror/stage/<epoch>/    files on their way in, in a directory for each process
//	<dir>/.mirror/trash/<epoch>/    files on their way out
//	<state>/id  lease.<epoch>  tmp.<epoch>/
//	<state>/reserve                 room for a lease and for deletions on a full disk
//	<state>/intent.<n>              a commit that is under way
//	<state>/gen/<n>                 committed generations
//	<state>/segments/<digest>       manifests;  <state>/index/<digest>  contents of index files
//	<state>/drops/<n>               objects that generation n no longer names
//	<state>/plan/<digest>/          plans
package tree

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// Config says where a tree is and who opens it.
type Config struct {
	Dir   string // the tree
	State string // its state
	// Parts are directories of the tree that are file systems of their own, such
	// as volumes. Each has a stage and a trash, because a rename stays within one,
	// and a generation.json of the newest generation that changed something in it.
	Parts []string
	// Kind is the mirror's, as the spec says; "" is not compared with what Setup was told.
	Kind string
	// Holder is written into the lease: cluster, namespace, workflow, run, host.
	Holder string
	// Run identifies the run that several processes may belong to; Renew needs it.
	Run string
	// MinFree is how many bytes stay free on the disks of tree and state while
	// files are downloaded and indexes rendered; 0 watches nothing.
	MinFree int64
	// Room tells how many bytes may still be written to the tree; nil asks its file system.
	Room func() (int64, error)
	// Crash is called with the name of every write boundary. Tests stop there.
	Crash func(point string)
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// At locates the tree of a mirror among those below root, and its state among
// those below state.
func At(root, state, mirror string) Config {
	return Config{Dir: filepath.Join(root, mirror), State: filepath.Join(state, mirror)}
}

// Tree is an opened tree. Its methods may be called from several goroutines,
// except that one of Commit, Reap and Expire runs at a time.
type Tree struct {
	cfg   Config
	id    Identity
	epoch int64 // 0 for a reader
	seq   atomic.Int64
	nonce string // keeps the temporary names of several processes of one epoch apart
	dirs  dirs

	watch, stateWatch watch // of the disks of tree and state

	passing   passing
	disks     *durable.Disks // of who may write
	forgetful bool           // the tree's file system may lose what was written without an error
}

// Open checks the identity, takes the lease, fences older epochs and rolls an
// open intent forward. The error is fault.WrongStorage where the tree or its
// state is not the expected one.
func Open(cfg Config) (*Tree, error) {
	t, err := Read(cfg)
	if err != nil {
		return nil, err
	}
	return t.take(func() error {
		for {
			top, err := t.topLease()
			if err != nil {
				return err
			}
			if err := t.takeLease(top + 1); !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	})
}

// Renew gives the run that holds epoch, or one that it renewed since, the next
// epoch, so that attempts of its own that are still about are fenced like
// anybody else. The error is fault.Fenced if another run holds the tree.
func Renew(cfg Config, epoch int64) (*Tree, error) {
	t, err := Read(cfg)
	if err != nil {
		return nil, err
	}
	return t.take(func() error {
		top, err := t.own(epoch)
		if err != nil {
			return err
		}
		err = t.takeLease(top + 1)
		if errors.Is(err, fs.ErrExist) {
			return t.fenced()
		}
		return err
	})
}

// take gets a lease by get, fences older epochs and rolls an open intent forward.
func (t *Tree) take(get func() error) (*Tree, error) {
	all := func() error {
		if err := get(); err != nil {
			return err
		}
		if err := t.fence(); err != nil {
			return err
		}
		return t.rollForward()
	}
	err := t.hold()
	if err == nil {
		err = all()
	}
	if durable.IsFull(err) {
		if err = t.giveUp(); err == nil {
			err = all()
		}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Resume goes on as the holder of epoch, which Open returned earlier, perhaps
// in another process, or of the epoch by which the same run renewed it since.
// The error is fault.Fenced if another run has taken over.
func Resume(cfg Config, epoch int64) (*Tree, error) {
	t, err := Read(cfg)
	if err != nil {
		return nil, err
	}
	if t.epoch, err = t.own(epoch); err == nil {
		err = t.hold()
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// own returns the newest epoch if it is epoch or a renewal of it by the same run.
func (t *Tree) own(epoch int64) (int64, error) {
	top, err := t.topLease()
	if err != nil || top == epoch {
		return top, err
	}
	holder, err := t.readLease(top)
	if err != nil || holder.Run == "" || holder.Run != t.cfg.Run {
		return 0, errors.Join(err, t.fenced())
	}
	return top, nil
}

// Read opens the tree without a lease: nothing can be written through it.
func Read(cfg Config) (*Tree, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Crash == nil {
		cfg.Crash = func(string) {}
	}
	id, err := identify(cfg)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(cfg.Dir, &st); err != nil {
		return nil, fmt.Errorf("tree: look at the file system of %s: %w", cfg.Dir, err)
	}
	return &Tree{cfg: cfg, id: id, nonce: rand.Text()[:10], dirs: dirs{root: cfg.Dir, open: map[string]*dir{}}, forgetful: st.Type == unix.FUSE_SUPER_MAGIC}, nil
}

// Close releases the directory handles and removes what is staged or thrown
// away; the lease stays until somebody takes over.
func (t *Tree) Close() error {
	t.dirs.close()
	return errors.Join(t.leave(), t.disks.Close())
}

// ID returns the tree's identity.
func (t *Tree) ID() Identity { return t.id }

// Epoch returns the lease's number, 0 for a reader.
func (t *Tree) Epoch() int64 { return t.epoch }

// Run returns what Config.Run says: a run that renews its lease has several epochs.
func (t *Tree) Run() string { return t.cfg.Run }

// Dir returns the tree's directory and State its state directory.
func (t *Tree) Dir() string { return t.cfg.Dir }

// State returns the directory of the tree's state.
func (t *Tree) State() string { return t.cfg.State }

func (t *Tree) statePath(elem ...string) string {
	return filepath.Join(append([]string{t.cfg.State}, elem...)...)
}

func (t *Tree) fenced() error {
	return &fault.Error{Kind: fault.Fenced, Op: "tree: write", Subject: t.cfg.Dir,
		Err:    fmt.Errorf("epoch %d has been taken over", t.epoch),
		Advice: "nothing to do: the newer run goes on"}
}

// explain turns the ENOENT of a fenced run into fault.Fenced, and a full disk into fault.NoSpace.
func (t *Tree) explain(op, subject string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && t.isFenced():
		return t.fenced()
	case errors.Is(err, fault.NoSpace):
		return err
	case durable.IsFull(err):
		return durable.NoSpace(op, subject, err)
	}
	return fmt.Errorf("%s %s: %w", op, subject, err)
}

func (t *Tree) isFenced() bool {
	if t.epoch == 0 {
		return true
	}
	t.passing.mu.Lock()
	defer t.passing.mu.Unlock()
	_, err := os.Lstat(t.tmpDir())
	for _, have := range t.passing.made {
		for _, dir := range have.dirs {
			if err == nil {
				_, err = os.Lstat(dir)
			}
		}
	}
	return errors.Is(err, fs.ErrNotExist)
}

// Free returns the bytes that an ordinary user may still write to the tree's file system.
func (t *Tree) Free() (int64, error) {
	if t.cfg.Room != nil {
		return t.cfg.Room()
	}
	var st unix.Statfs_t
	if err := unix.Statfs(t.cfg.Dir, &st); err != nil {
		return 0, fmt.Errorf("tree: free space of %s: %w", t.cfg.Dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Sync makes everything that this Tree wrote so far last: one syncfs for each file system.
func (t *Tree) Sync() error {
	if t.disks == nil {
		return t.fenced()
	}
	if err := t.disks.Sync(); err != nil {
		return t.explain("tree: sync", t.cfg.Dir, err)
	}
	return nil
}

// hold opens the file systems of the tree, before the first write.
func (t *Tree) hold() (err error) {
	all := []string{t.cfg.State, t.cfg.Dir}
	for _, part := range t.cfg.Parts {
		all = append(all, filepath.Join(t.cfg.Dir, part))
	}
	t.disks, err = durable.Hold(all...)
	return err
}
