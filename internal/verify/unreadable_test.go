package verify_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/verify"
)

// TestUnreadableFileIsDamage: a disk that gives EIO has lost the file; those
// behind it are looked at all the same.
func TestUnreadableFileIsDamage(t *testing.T) {
	need.Unreadable(t, func(spoil func(string)) {
		h := newHouse(t)
		h.commit(content{"pool/a": nil, "pool/b": []byte("b")}, nil)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := verify.Scrub(context.Background(), h.tree, h.gen, now); err != nil {
			t.Fatal(err)
		}
		h.write("pool/b", "B")
		spoil(h.path("pool/a"))
		r, err := verify.Scrub(context.Background(), h.tree, h.gen, now.Add(31*24*time.Hour))
		damaged := func(p string) bool {
			return slices.ContainsFunc(r.Damaged, func(e manifest.Entry) bool { return e.Path == p })
		}
		if err != nil || !damaged("pool/a") || !damaged("pool/b") || !strings.Contains(strings.Join(r.Problems, "\n"), "pool/a: read") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
