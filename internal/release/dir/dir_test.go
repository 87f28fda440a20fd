package dir_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/tree"
)

const treeID = "demo-1"

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// origin is a source made of the test's own values.
type origin struct {
	segments map[manifest.Digest][]byte
	gen      tree.Generation
	bytes    func(e manifest.Entry) []byte // contents, where there is no dir
	dir      string                        // of the objects
	opened   int
	last     backendtest.Content
}

func (o *origin) ReadSegment(d manifest.Digest) ([]byte, error) {
	data, ok := o.segments[d]
	if !ok {
		return nil, fmt.Errorf("no segment %s", d)
	}
	return data, nil
}

func (o *origin) WriteSegment(d manifest.Digest, data []byte) error {
	o.segments[d] = bytes.Clone(data)
	return nil
}

func (o *origin) Sealed(context.Context) (*tree.Generation, error) { return &o.gen, nil }

func (o *origin) Index(_ context.Context, d manifest.Digest) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.bytes(manifest.Entry{Kind: manifest.Pointer, Digest: d}))), nil
}

func (o *origin) Object(_ context.Context, e manifest.Entry) (io.ReadCloser, error) {
	o.opened++
	return io.NopCloser(bytes.NewReader(o.bytes(e))), nil
}

func (o *origin) Path(p string) string {
	if o.dir == "" {
		return ""
	}
	return filepath.Join(o.dir, p)
}

// next seals the entries as the next generation.
func (o *origin) next(t testing.TB, entries iter.Seq[manifest.Entry]) {
	t.Helper()
	if o.segments == nil {
		o.segments = map[manifest.Digest][]byte{}
	}
	m, err := manifest.Write(o, func(yield func(manifest.Entry, error) bool) {
		for e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	o.gen.Served = tree.Served{Tree: treeID, Mirror: "demo", Number: o.gen.Number + 1, Manifest: m.ID().String(),
		Time: time.Now().Add(time.Hour), Upstream: o.gen.Upstream}
}

func entries(all ...manifest.Entry) iter.Seq[manifest.Entry] {
	return func(yield func(manifest.Entry) bool) {
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}
}

func object(p, data string) manifest.Entry {
	return manifest.Entry{Path: p, Kind: manifest.Object, Size: int64(len(data)), Digest: sha256.Sum256([]byte(data))}
}

// setup makes a region and returns how to open the mirror in it.
func setup(t testing.TB) (string, func() *dir.Region) {
	t.Helper()
	region := filepath.Join(t.TempDir(), "dfw")
	if err := dir.Setup(region, "dfw"); err != nil {
		t.Fatal(err)
	}
	return region, func() *dir.Region {
		return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: "demo", Tree: treeID, Holder: "test",
			Policy: backend.Policy{Grace: time.Hour, Keep: time.Hour, Every: time.Hour}, Now: func() time.Time { return begin }})
	}
}

func TestWrongStorage(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if err := dir.Setup(other, "ord"); err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(region string) error{
		"not mounted":      func(r string) error { return errors.Join(os.RemoveAll(r), os.Mkdir(r, 0o755)) },
		"another region":   func(r string) error { return errors.Join(os.RemoveAll(r), os.Rename(other, r)) },
		"the link is gone": func(r string) error { return os.Remove(filepath.Join(r, "demo")) },
		"the view is gone": func(r string) error { return os.RemoveAll(filepath.Join(r, ".mirrorcycle/demo/views/1")) },
		"not our link":     func(r string) error { return relink(r, "/tmp") },
		"a real directory": func(r string) error {
			return errors.Join(os.Remove(filepath.Join(r, "demo")), os.Mkdir(filepath.Join(r, "demo"), 0o755))
		},
		"another tree":      func(r string) error { return served(r, `{"tree":"x","mirror":"demo","number":1}`) },
		"another manifest":  func(r string) error { return served(r, `{"tree":"demo-1","mirror":"demo","number":1,"manifest":"00"}`) },
		"another view's id": func(r string) error { return served(r, `{"tree":"demo-1","mirror":"demo","number":2}`) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			region, open := setup(t)
			src := &origin{bytes: func(manifest.Entry) []byte { return []byte("a") }}
			src.next(t, entries(object("a", "a")))
			if _, err := open().Publish(t.Context(), src); err != nil {
				t.Fatal(err)
			}
			if err := open().Confirm(t.Context(), "dfw", 1); err != nil {
				t.Fatal(err)
			}
			if err := spoil(region); err != nil {
				t.Fatal(err)
			}
			before := backendtest.Untouched(t, region)
			if _, err := open().Publish(t.Context(), src); !errors.Is(err, fault.WrongStorage) {
				t.Errorf("publish: %v, want wrong-storage", err)
			}
			if len(before) != len(backendtest.Untouched(t, region)) {
				t.Error("something was written")
			}
		})
	}
}

func relink(region, target string) error {
	name := filepath.Join(region, "demo")
	return errors.Join(os.Remove(name), os.Symlink(target, name))
}

func served(region, data string) error {
	return os.WriteFile(filepath.Join(region, "demo", tree.ServedPath), []byte(data), 0o644)
}

func TestSetupTwiceIsOnce(t *testing.T) {
	region, _ := setup(t)
	before := backendtest.Untouched(t, region)
	if err := dir.Setup(region, "dfw"); err != nil {
		t.Error(err)
	}
	if err := dir.Setup(region, "ord"); !errors.Is(err, fault.WrongStorage) {
		t.Errorf("set up for another region: %v, want wrong-storage", err)
	}
	after := backendtest.Untouched(t, region)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestUnprovedBytesAreNotPublished(t *testing.T) {
	for name, data := range map[string]string{"other bytes": "b", "too few": "", "too many": "aa"} {
		t.Run(name, func(t *testing.T) {
			region, open := setup(t)
			src := &origin{bytes: func(manifest.Entry) []byte { return []byte(data) }}
			src.next(t, entries(object("a", "a")))
			if _, err := open().Publish(t.Context(), src); !errors.Is(err, fault.Unproved) {
				t.Errorf("got %v, want unproved", err)
			}
			if _, err := os.Lstat(filepath.Join(region, "demo")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the region serves it: %v", err)
			}
		})
	}
}

// TestTreeMovedOn publishes a generation whose object the tree has since replaced by other bytes of the same size.
func TestTreeMovedOn(t *testing.T) {
	region, open := setup(t)
	src := &origin{dir: t.TempDir()}
	src.next(t, entries(object("a", "old")))
	src.gen.Time = time.Now().Add(-time.Hour)
	if err := os.WriteFile(filepath.Join(src.dir, "a"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Publish(t.Context(), src); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want conflict", err)
	}
	if _, err := os.Lstat(filepath.Join(region, "demo")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the region serves it: %v", err)
	}
}

func TestHostilePathsAreRefused(t *testing.T) {
	for _, p := range []string{"../x", "/x", ".mirror/generation.json", "a/../../x", "a//b"} {
		_, open := setup(t)
		src := &origin{bytes: func(manifest.Entry) []byte { return []byte("a") }}
		src.next(t, entries(object(p, "a")))
		if _, err := open().Publish(t.Context(), src); !errors.Is(err, fault.Hostile) {
			t.Errorf("%q: got %v, want hostile", p, err)
		}
	}
}

// TestOtherFileSystem has the tree where no hard link reaches.
func TestOtherFileSystem(t *testing.T) {
	far, err := os.MkdirTemp("/dev/shm", "mirrorcycle-test-")
	need.That(t, err == nil, "no second file system at /dev/shm")
	defer os.RemoveAll(far)
	region, open := setup(t)
	if err := os.WriteFile(filepath.Join(far, "a"), []byte("aaa"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = os.Link(filepath.Join(far, "a"), filepath.Join(region, "probe"))
	need.That(t, err != nil, "/dev/shm is no second file system")
	src := &origin{dir: far}
	src.next(t, entries(object("a", "aaa")))
	if _, err := open().Publish(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(region, "demo/a")); string(got) != "aaa" {
		t.Errorf("got %q, %v", got, err)
	}
	// A copy is proved, whatever the times of the file say.
	if err := os.WriteFile(filepath.Join(far, "b"), []byte("BBB"), 0o644); err != nil {
		t.Fatal(err)
	}
	src.next(t, entries(object("a", "aaa"), object("b", "bbb")))
	if _, err := open().Publish(t.Context(), src); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want conflict", err)
	}
}

// TestPulledOnce cuts a pull off; what it had fetched and proved is not fetched again.
func TestPulledOnce(t *testing.T) {
	_, open := setup(t)
	var all []manifest.Entry
	content := map[manifest.Digest]string{}
	for i := range 50 {
		e := object(fmt.Sprintf("p/%02d", i), fmt.Sprint(i))
		all, content[e.Digest] = append(all, e), fmt.Sprint(i)
	}
	const broken = 31 // whichever object is the 31st to be asked for
	asked := 0
	src := &origin{}
	src.bytes = func(e manifest.Entry) []byte {
		if asked++; asked == broken {
			return []byte("?")
		}
		return []byte(content[e.Digest])
	}
	src.next(t, entries(all...))
	one := &serial{origin: src}
	if _, err := open().Publish(t.Context(), one); !errors.Is(err, fault.Unproved) {
		t.Fatalf("got %v, want unproved", err)
	}
	first := one.calls()
	if _, err := open().Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	// The broken one is fetched twice, and each of those that were under way beside it may be.
	if got := one.calls(); first < broken || got <= len(all) || got > len(all)+10 {
		t.Errorf("%d fetches, then %d in all, for %d objects", first, got, len(all))
	}
}
