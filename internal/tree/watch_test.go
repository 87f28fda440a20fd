package tree_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// TestMinFreeStaysFree writes without an end to disks of several sizes, in
// pieces as a download has them.
func TestMinFreeStaysFree(t *testing.T) {
	const keep, piece = 1 << 20, 32 << 10
	for _, size := range []int64{0, keep, keep + piece, 8 << 20, 100 << 20} {
		cfg := config(t.TempDir(), nil)
		if _, err := tree.Setup(cfg, "mirror"); err != nil {
			t.Fatal(err)
		}
		var f *tree.File
		cfg.MinFree, cfg.Room = keep, func() (int64, error) {
			st, err := f.Stat()
			return size - st.Size(), err
		}
		tr, err := tree.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		if f, err = tr.Create(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(f, io.LimitReader(endless{}, 2*size+keep)) // by ReadFrom
		if !errors.Is(err, fault.NoSpace) {
			t.Fatalf("%d bytes are free: %d are written, and then %v", size, n, err)
		}
		if left := size - n; n > 0 && left < keep || left >= keep+piece && size > keep {
			t.Errorf("%d bytes were free, %d are to stay free, and %d are left", size, keep, left)
		}
		if advice := err.Error(); !strings.Contains(advice, "to stay free") {
			t.Error(advice)
		}
		if _, err := io.WriteString(f, strings.Repeat("x", piece+1)); !errors.Is(err, fault.NoSpace) {
			t.Errorf("a string is written to the room that is to stay free: %v", err)
		}
		if err := f.Discard(); err != nil {
			t.Error(err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestAnIndexThatGrowsEnds: rendered indexes go to the state, whose disk counts too.
func TestAnIndexThatGrowsEnds(t *testing.T) {
	cfg := config(t.TempDir(), nil)
	if _, err := tree.Setup(cfg, "mirror"); err != nil {
		t.Fatal(err)
	}
	cfg.MinFree = 1 << 60
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := tr.PutIndex([]byte("Package: hello\n")); !errors.Is(err, fault.NoSpace) {
		t.Errorf("an index is kept on a disk whose last room is to stay free: %v", err)
	}
}
