package tree_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/tree"
)

// bench is a tree with a file of other bytes than its entry says.
type bench struct {
	t     *testing.T
	cfg   tree.Config
	crash func(string)
	entry manifest.Entry
}

const sound = "sound"

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, crash: func(string) {}, entry: manifest.Entry{Path: "pool/a", Kind: manifest.Object, Size: int64(len(sound)), Digest: sha256.Sum256([]byte(sound))}}
	dir := t.TempDir()
	b.cfg = tree.Config{Dir: filepath.Join(dir, "tree"), State: filepath.Join(dir, "state"), Crash: func(p string) { b.crash(p) }}
	if _, err := tree.Setup(b.cfg, "demo"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(b.name("pool"), 0o755), os.WriteFile(b.name("pool/a"), []byte("rotten!"), 0o644), os.Link(b.name("pool/a"), b.name("pool/link"))); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) name(p string) string { return filepath.Join(b.cfg.Dir, p) }

func (b *bench) open() *tree.Tree {
	b.t.Helper()
	tr, err := tree.Open(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { tr.Close() })
	return tr
}

func (b *bench) staged(tr *tree.Tree) *tree.File {
	b.t.Helper()
	f, err := tr.CreateFor(b.entry.Path)
	if err == nil {
		_, err = f.WriteString(sound)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *bench) want(p, content string) {
	b.t.Helper()
	if got, err := os.ReadFile(b.name(p)); err != nil || string(got) != content {
		b.t.Errorf("%s: got %q, want %q: %v", p, got, content, err)
	}
}

func TestMendHealsWhatSharesTheFile(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	if err := tr.Mend(b.entry, b.staged(tr)); err != nil {
		t.Fatal(err)
	}
	b.want("pool/a", sound)
	b.want("pool/link", sound)
	if left, _ := filepath.Glob(b.name(".mirror/stage/*/*/*")); len(left) > 0 {
		t.Errorf("the stage has %v", left)
	}
}

func TestMendOfWhatIsNoFile(t *testing.T) {
	for name, put := range map[string]func(name, target string) error{
		"missing":        func(string, string) error { return nil },
		"a link":         func(name, target string) error { return os.Symlink(target, name) },
		"a link to none": func(name, _ string) error { return os.Symlink("nowhere", name) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tr, other := b.open(), filepath.Join(t.TempDir(), "other")
			if err := errors.Join(os.WriteFile(other, []byte("other"), 0o644), os.Remove(b.name("pool/a")), put(b.name("pool/a"), other)); err != nil {
				t.Fatal(err)
			}
			if err := tr.Mend(b.entry, b.staged(tr)); err != nil {
				t.Fatal(err)
			}
			b.want("pool/a", sound)
			if st, err := os.Lstat(b.name("pool/a")); err != nil || !st.Mode().IsRegular() {
				t.Errorf("%v %v", st, err)
			}
			if got, err := os.ReadFile(other); err != nil || string(got) != "other" {
				t.Errorf("a file outside was written: %q %v", got, err)
			}
		})
	}
}

func TestMendCutOff(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	b.crash = func(p string) {
		if p == "mend" {
			panic("cut off")
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = tr.Mend(b.entry, b.staged(tr))
		t.Error("not cut off")
	}()
	b.crash = func(string) {}
	b.want("pool/a", "rotten!")
	tr = b.open()
	if err := tr.Mend(b.entry, b.staged(tr)); err != nil {
		t.Fatal(err)
	}
	b.want("pool/a", sound)
}

// TestMendOfTheFenced: a run that was taken over must not write over what a
// newer one has put under the same name.
func TestMendOfTheFenced(t *testing.T) {
	b := newBench(t)
	zombie := b.open()
	f := b.staged(zombie)
	newer := b.open()
	index, err := newer.CreateFor("pool/a")
	if err == nil {
		_, err = index.WriteString("newer")
	}
	if err == nil {
		err = index.Land("pool/a")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := zombie.Mend(b.entry, f); !errors.Is(err, fault.Fenced) {
		t.Errorf("a fenced run mends: %v", err)
	}
	b.want("pool/a", "newer")
	b.want("pool/link", "rotten!")
}

func TestKeptIsProved(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	d, err := tr.PutIndex([]byte(sound))
	if err != nil {
		t.Fatal(err)
	}
	f, ok, err := tr.Kept(d, "pool/a")
	if err != nil || !ok {
		t.Fatalf("kept content is not had: %v %v", ok, err)
	}
	if err := tr.Mend(b.entry, f); err != nil {
		t.Fatal(err)
	}
	b.want("pool/a", sound)
	ruined := 0
	err = filepath.WalkDir(filepath.Join(b.cfg.State, "index"), func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			ruined++
			err = os.WriteFile(name, []byte("#####"), 0o644)
		}
		return err
	})
	if err != nil || ruined != 1 {
		t.Fatal(ruined, err)
	}
	if _, ok, err := tr.Kept(d, "pool/a"); ok || err != nil {
		t.Errorf("ruined content passes: %v %v", ok, err)
	}
}

// TestDamagedContentIsKeptAnew: who has the content again heals what the state
// keeps of it, or every index made of it would be damaged for as long as it is named.
func TestDamagedContentIsKeptAnew(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	for range 2 {
		d, err := tr.PutIndex([]byte(sound))
		if err != nil {
			t.Fatal(err)
		}
		f, ok, err := tr.Kept(d, "pool/a")
		if err != nil || !ok {
			t.Fatalf("kept content is not had: %v %v", ok, err)
		}
		if err := f.Discard(); err != nil {
			t.Fatal(err)
		}
		hex := d.String()
		if err := os.WriteFile(filepath.Join(b.cfg.State, "index", hex[:2], hex), []byte("#####"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenFileOpensFilesOnly: a pipe would keep whoever opens it waiting for a writer.
func TestOpenFileOpensFilesOnly(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	for name, put := range map[string]func(name string) error{
		"pipe":      func(name string) error { return syscall.Mkfifo(name, 0o644) },
		"directory": func(name string) error { return os.Mkdir(name, 0o755) },
		"soft link": func(name string) error { return os.Symlink("a", name) },
	} {
		if err := put(b.name("pool/" + name)); err != nil {
			t.Fatal(err)
		}
		if f, err := tr.OpenFile("pool/" + name); !errors.Is(err, fault.Hostile) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if f, err := tr.OpenFile("pool/a"); err != nil || f.Close() != nil {
		t.Error(err)
	}
}

// TestMendSparesWhatTheStateKeeps: the bytes that are to replace an object lie at
// its path before the commit that names them. They are not damaged, and a commit
// that failed in between is tried again with them.
func TestMendSparesWhatTheStateKeeps(t *testing.T) {
	b := newBench(t)
	tr := b.open()
	d, err := tr.PutIndex([]byte("newer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.LandIndex(d, "pool/a"); err != nil {
		t.Fatal(err)
	}
	if err := tr.Mend(b.entry, b.staged(tr)); err != nil {
		t.Fatal(err)
	}
	b.want("pool/a", sound)
	f, ok, err := tr.Kept(d, "pool/a")
	if err != nil || !ok {
		t.Fatalf("what the state kept is written over: %v, %v", ok, err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
}

// TestMendOfWhatTheDiskRefuses: where writing over a file gives EIO, too, another one takes its name.
func TestMendOfWhatTheDiskRefuses(t *testing.T) {
	need.Unreadable(t, func(spoil func(string)) {
		b := newBench(t)
		tr := b.open()
		spoil(b.name("pool/a"))
		b.crash = func(p string) {
			if p == "land" { // nothing can be renamed over a mount
				_ = unix.Unmount(b.name("pool/a"), unix.MNT_DETACH)
			}
		}
		if err := tr.Mend(b.entry, b.staged(tr)); err != nil {
			t.Fatal(err)
		}
		b.want("pool/a", sound)
		b.want("pool/link", "rotten!") // its name is another's business
	})
}
