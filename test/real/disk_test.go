package real_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/need"
	"mirrorcycle/internal/tree"
)

// TestALostWriteBackReachesWhoWrote has two mirrors on one disk that loses what
// is written back: a loop device whose file has no room. The mirror that syncs
// first learns of it; the one that wrote must learn of it too.
func TestALostWriteBackReachesWhoWrote(t *testing.T) {
	disk := losingDisk(t)
	var trees []*tree.Tree
	for _, name := range []string{"writes", "syncs"} {
		cfg := tree.At(filepath.Join(disk, "trees"), filepath.Join(disk, "state"), name)
		if _, err := tree.Setup(cfg, name); err != nil {
			t.Fatal(err)
		}
		tr, err := tree.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		trees = append(trees, tr)
	}
	f, err := trees[0].Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 24<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Land("pool/large.deb"); err != nil {
		t.Fatal(err)
	}
	if err := trees[1].Sync(); err == nil {
		t.Fatal("the disk lost nothing: the test shows nothing")
	}
	if err := trees[0].Sync(); !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOSPC) {
		t.Errorf("the mirror that wrote is told that its bytes are on the disk: %v", err)
	}
}

// losingDisk mounts an ext4 file system that can hold less than it says.
func losingDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	below, disk := filepath.Join(dir, "below"), filepath.Join(dir, "disk")
	for _, d := range []string{below, disk} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) error {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
		}
		return err
	}
	err := run("mount", "-t", "tmpfs", "-o", "size=12m", "none", below)
	need.That(t, err == nil, fmt.Sprint("nothing can be mounted: ", err))
	t.Cleanup(func() { _ = run("umount", "-l", below) })
	image := filepath.Join(below, "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	err = run("mkfs.ext4", "-q", "-O", "^has_journal", image)
	if err == nil {
		err = run("mount", "-o", "loop,errors=continue", image, disk)
	}
	need.That(t, err == nil, fmt.Sprint("no loop device with ext4: ", err))
	t.Cleanup(func() { _ = run("umount", "-l", disk) })
	return disk
}
