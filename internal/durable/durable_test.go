package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
)

func TestReplaceIsWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "note")
	for _, text := range []string{"first", "second"} {
		if err := Replace(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if st, _ := os.Stat(name); err != nil || string(got) != text || st.Mode().Perm() != 0o600 {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "full"), nil, 0o644); err == nil {
		t.Error("a directory with content was replaced")
	}
	if all, _ := os.ReadDir(dir); len(all) != 2 {
		t.Errorf("%d names are left", len(all))
	}
	if err := Create(name, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file was created over another: %v", err)
	}
}

func TestAFullDiskSaysSo(t *testing.T) {
	err := NoSpace("tree: write", "a", &fs.PathError{Op: "write", Path: "a", Err: unix.EDQUOT})
	if fault.KindOf(err) != fault.NoSpace || NoSpace("x", "y", err) != err {
		t.Errorf("%v", err)
	}
	if err := NoSpace("tree: write", "a", fs.ErrNotExist); err != fs.ErrNotExist {
		t.Errorf("%v", err)
	}
}

// TestALossIsToldToWhoWasOpen: the error of a file system reaches each holder by
// its own descriptor, and is not forgotten at the next sync.
func TestALossIsToldToWhoWasOpen(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := Hold(dir, filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	real := syncfs
	t.Cleanup(func() { syncfs = real })
	var used []*os.File
	lost := unix.EIO
	syncfs = func(f *os.File) error {
		used = append(used, f)
		return lost
	}
	if err := d.SyncOf(filepath.Join(dir, "state")); !errors.Is(err, unix.EIO) {
		t.Errorf("a lost write-back is no error: %v", err)
	}
	syncfs = func(f *os.File) error {
		used = append(used, f)
		return nil
	}
	if err := d.Sync(); !errors.Is(err, unix.EIO) {
		t.Errorf("a lost write-back is forgotten: %v", err)
	}
	if len(used) != 2 || used[0] != used[1] {
		t.Errorf("one file system was synced by %d descriptors", len(used))
	}
}
