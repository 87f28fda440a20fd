package transfer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/transfer"
	"mirrorcycle/internal/tree"
)

// TestUntoldSizesHaveABudget: of five objects whose size upstream does not
// tell, a budget for two lets two in, and the one whose size is told. What
// could not be had uses up nothing.
func TestUntoldSizesHaveABudget(t *testing.T) {
	h := newHouse(t)
	told := h.item("told", strings.Repeat("t", 5000))
	wrong := h.item("a-wrong", strings.Repeat("w", 1500))
	wrong.Size, wrong.SHA256 = -1, digest("else")
	items := []tree.Item{wrong}
	for i := range 5 {
		it := h.item(fmt.Sprint("pool/", i), strings.Repeat(fmt.Sprint(i), 1000))
		it.Size = -1
		items = append(items, it)
	}
	results, err := transfer.Run(t.Context(), h.tree, h.plan(append(items, told)...), 0,
		transfer.Options{Client: h.client, Upstreams: []string{h.url}, Workers: 1, Untold: 2500})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, r := range results {
		kinds = append(kinds, r.Path+" "+r.Kind)
	}
	want := "a-wrong unproved|pool/0 |pool/1 |pool/2 unavailable|pool/3 unavailable|pool/4 unavailable|told "
	if got := strings.Join(kinds, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAFullDiskEndsADownload: of an object whose size nobody tells, no more is
// written than leaves min-free, and the run ends with no-space.
func TestAFullDiskEndsADownload(t *testing.T) {
	h := newHouse(t)
	most := int64(0)
	h.cfg.MinFree, h.cfg.Room = 1<<20, func() (int64, error) {
		used := int64(0)
		err := filepath.WalkDir(h.cfg.Dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				var st fs.FileInfo
				if st, err = d.Info(); err == nil {
					used += st.Size()
				}
			}
			return err
		})
		most = max(most, used)
		return 3<<20 - used, err
	}
	h.open()
	it := h.item("pool/large", strings.Repeat("x", 4<<20))
	it.Size = -1
	_, err := transfer.Run(t.Context(), h.tree, h.plan(it), 0, transfer.Options{Client: h.client, Upstreams: []string{h.url}, Workers: 1})
	if !errors.Is(err, fault.NoSpace) || most > 2<<20 || most < 1<<20 {
		t.Errorf("of 3 MB of which 1 MB is to stay free, %d bytes are used, and then: %v", most, err)
	}
}
