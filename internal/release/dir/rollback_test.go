package dir_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/dir"
)

// serial counts the objects that were asked for.
type serial struct {
	*origin
	mu sync.Mutex
}

func (s *serial) Object(ctx context.Context, e manifest.Entry) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.origin.Object(ctx, e)
}

func (s *serial) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// TestRollbackKeepsWhatNewerReleasesName follows apt: it keeps the Release with
// the newer Date, so what that names is wanted until a still newer one is there,
// and for the wait after that.
func TestRollbackKeepsWhatNewerReleasesName(t *testing.T) {
	region, _ := setup(t)
	now := begin
	open := func() *dir.Region {
		return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: "demo", Tree: treeID, Now: func() time.Time { return now },
			Policy: backend.Policy{Grace: 2 * time.Hour, Keep: time.Hour, Every: time.Hour}})
	}
	src := &origin{bytes: func(e manifest.Entry) []byte { return []byte("x") }}
	days := func(n int) time.Time { return begin.Add(time.Duration(n) * 24 * time.Hour) }
	old, bad := object("pool/old", "x"), object("pool/bad", "x")
	release := func(date time.Time, all ...manifest.Entry) {
		t.Helper()
		src.gen.Upstream.Date = date
		src.next(t, entries(all...))
		if _, err := open().Publish(t.Context(), src); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(hours int) {
		t.Helper()
		for range hours {
			if err := open().Confirm(t.Context(), "dfw", src.gen.Number); err != nil {
				t.Fatal(err)
			}
			if _, err := open().Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
		}
	}
	there := func(p string, want bool, when string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(region, "demo", p)); (err == nil) != want {
			t.Errorf("%s: %s is there: %v, want %v", when, p, err == nil, want)
		}
	}
	release(days(1), old)
	pass(1)
	release(days(2), bad)
	pass(1)
	release(days(1), old) // the rollback
	pass(100)
	there("pool/bad", true, "long after the rollback")
	there("pool/old", true, "long after the rollback")
	release(days(3), old)
	pass(2)
	there("pool/bad", true, "an hour after a newer Release")
	pass(3)
	there("pool/bad", false, "when the wait is over")
	there("pool/old", true, "when the wait is over")
}
