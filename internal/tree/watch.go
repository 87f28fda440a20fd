package tree

import (
	"fmt"
	"io"
	"sync"

	"mirrorcycle/internal/fault"
)

// watchStep is the most that is written before the free space is looked at
// again, in bytes. Other processes may fill the disk meanwhile.
const watchStep = 16 << 20

// watch keeps Config.MinFree free on one disk while files are written.
type watch struct {
	mu   sync.Mutex
	left int64 // bytes that may be written before the next look
}

// spend is called before n bytes are written to a disk of which room tells how
// much is free. It looks more often the less room there is, so one process
// alone never goes below MinFree. The error is fault.NoSpace.
func (t *Tree) spend(w *watch, dir string, n int, room func() (int64, error)) error {
	if t.cfg.MinFree <= 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left -= int64(n); w.left >= 0 {
		return nil
	}
	free, err := room()
	if err != nil {
		return err
	}
	over := free - t.cfg.MinFree - int64(n)
	if over < 0 {
		w.left = 0
		return &fault.Error{Kind: fault.NoSpace, Op: "tree: write", Subject: dir,
			Err:    fmt.Errorf("%d bytes are free and %d are to stay free", free, t.cfg.MinFree),
			Advice: "free space, mirror less, or lower storage.min-free"}
	}
	w.left = min(watchStep, over/8)
	return nil
}

// Write writes while Config.MinFree stays free. What a commit needs is written
// past it, to the File within: it makes room by what it drops.
func (f *File) Write(p []byte) (int, error) {
	if err := f.tree.spend(&f.tree.watch, f.tree.cfg.Dir, len(p), f.tree.Free); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// ReadFrom implements io.ReaderFrom: the one of os.File would not be watched.
func (f *File) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}

// WriteString implements io.StringWriter, for the same reason.
func (f *File) WriteString(s string) (int, error) { return f.Write([]byte(s)) }
