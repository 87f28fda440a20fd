package real_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/tree"
)

// TestAFullDiskHeals fills the disk to its last block while an object is due to
// be deleted: the lease is taken and the object goes, by what the reserve gives.
func TestAFullDiskHeals(t *testing.T) {
	disk := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "none", disk).CombinedOutput()
	need.That(t, err == nil, fmt.Sprintf("nothing can be mounted: %v: %s", err, out))
	t.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	cfg := tree.At(filepath.Join(disk, "trees"), filepath.Join(disk, "state"), "demo")
	if _, err := tree.Setup(cfg, "demo"); err != nil {
		t.Fatal(err)
	}
	tr := openTree(t, cfg)
	land(t, tr, "pool/a.deb", make([]byte, 4<<20))
	commitAll(t, tr, entryOf("pool/a.deb", make([]byte, 4<<20)))
	commitAll(t, tr)
	if err := errors.Join(tr.KeepReserve(), tr.Close()); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "others"))
	tr = openTree(t, cfg)
	if err := tr.UseReserve(); err != nil {
		t.Fatal(err)
	}
	reaped, _, err := tr.Tend(t.Context(), time.Now().Add(time.Hour), time.Minute, nil)
	if err != nil || reaped.Objects != 1 {
		t.Fatalf("reaped %+v, %v", reaped, err)
	}
	if err := tr.Close(); err != nil { // what is in the trash goes with it
		t.Fatal(err)
	}
	tr = openTree(t, cfg)
	if err := tr.KeepReserve(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.State, "reserve")); err != nil {
		t.Error(err)
	}
}

func openTree(t *testing.T, cfg tree.Config) *tree.Tree {
	t.Helper()
	tr, err := tree.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func land(t *testing.T, tr *tree.Tree, p string, data []byte) {
	t.Helper()
	f, err := tr.Create()
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Land(p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func entryOf(p string, data []byte) manifest.Entry {
	return manifest.Entry{Path: p, Kind: manifest.Object, Size: int64(len(data)), Digest: sha256.Sum256(data)}
}

func commitAll(t *testing.T, tr *tree.Tree, all ...manifest.Entry) {
	t.Helper()
	m, err := manifest.Write(tr, func(yield func(manifest.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := tr.Commit(context.Background(), tree.CommitRequest{Manifest: m})
	if err == nil {
		err = tr.Seal(g.Number)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill writes until the disk takes no byte more.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := os.WriteFile(name+".more", []byte("x"), 0o600); fault.KindOf(err) != "" || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}
