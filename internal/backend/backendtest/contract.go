package backendtest

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
)

// look compares what clients of every region find with want.
func (r *rig) look(t *testing.T, want Content) {
	t.Helper()
	for _, region := range r.Regions {
		compare(t, r.Root(region), want)
	}
}

func compare(t *testing.T, dir string, want Content) {
	t.Helper()
	got, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", dir, diff)
	}
}

// with returns c and the given files of other contents.
func with(c Content, more ...Content) Content {
	out := maps.Clone(c)
	for _, m := range more {
		maps.Copy(out, m)
	}
	return out
}

var (
	first  = Content{"pool/a": "aaa", "pool/b/b": "bbb", "pool/b/c": "ccc", "dists/x/P": "a b", "dists/Old": "old", "dists/Release": "1"}
	second = Content{"pool/b/b": "bbb", "pool/b/c": "ccc", "pool/d/e/f": "new", "dists/x/P": "b", "dists/Release": "2"}
	third  = Content{"pool/b/b": "bbb", "pool/b/c": "ccc", "pool/d/e/f": "new", "dists/x/P": "b b", "dists/Release": "3"}
)

func testPublish(t *testing.T, h Harness) {
	r := newRig(t, h, first, second, third)
	for n, want := range []Content{first, with(second, Content{"pool/a": "aaa"}), with(third, Content{"pool/a": "aaa"})} {
		r.publish(t, n+1)
		r.look(t, want)
		serving, err := r.open().Serving(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range serving {
			if o.Serves != int64(n+1) {
				t.Errorf("serving %+v, want %d", o, n+1)
			}
		}
	}
	if r.Snapshot != nil {
		for n, want := range []Content{first, with(second, Content{"pool/a": "aaa"})} {
			compare(t, r.Snapshot(r.Regions[0], int64(n+1)), want)
		}
	}
}

func testNothingToDo(t *testing.T, h Harness) {
	r := newRig(t, h, first, third)
	r.publish(t, 1)
	r.confirm(t, 1)
	r.reap(t)
	before := Untouched(t, r.Storage)
	r.now = r.now.Add(time.Hour)
	outcomes, err := r.open().Publish(t.Context(), r.h.Source(t, r.trees[0]))
	if err != nil || outcomes[0].Changed {
		t.Errorf("published again: %+v, %v", outcomes, err)
	}
	r.confirm(t, 1)
	r.reap(t)
	if diff := cmp.Diff(before, Untouched(t, r.Storage)); diff != "" {
		t.Errorf("written without need: %s", diff)
	}
}

func testOlder(t *testing.T, h Harness) {
	r := newRig(t, h, first, second)
	r.publish(t, 2)
	before := Untouched(t, r.Storage)
	outcomes, err := r.open().Publish(t.Context(), r.h.Source(t, r.trees[0]))
	if len(outcomes) != len(r.Regions) {
		t.Fatalf("outcomes %+v", outcomes)
	}
	for _, o := range outcomes {
		if o.Kind != string(fault.Stale) || o.Serves != 2 {
			t.Errorf("outcome %+v (%v), want stale, serves 2", o, err)
		}
	}
	r.look(t, second)
	if diff := cmp.Diff(before, Untouched(t, r.Storage)); diff != "" {
		t.Errorf("a refusal wrote: %s", diff)
	}
}

func testOtherTree(t *testing.T, h Harness) {
	r, other := newRig(t, h, first), newRig(t, h, third)
	r.publish(t, 1)
	outcomes, err := r.open().Publish(t.Context(), h.Source(t, other.trees[0]))
	for _, o := range outcomes {
		if o.Kind != string(fault.WrongStorage) {
			t.Errorf("outcome %+v (%v), want wrong-storage", o, err)
		}
	}
	r.look(t, first)
}

func testDropped(t *testing.T, h Harness) {
	r := newRig(t, h, first, second, third)
	r.publish(t, 1)
	r.served(t, 1, 3)
	r.publish(t, 2)
	kept := with(second, Content{"pool/a": "aaa"})
	r.confirm(t, 2)
	if got := r.reap(t); got.Objects != 0 || got.Waiting != 1 || got.WaitingBytes != 3 {
		t.Errorf("reaped at once: %+v", got)
	}
	r.served(t, 2, 10)
	// The wait is over, but generation 1 is still readable as a snapshot.
	if r.Snapshot != nil {
		if got := r.reap(t); got.Objects != 0 {
			t.Errorf("reaped what a snapshot names: %+v", got)
		}
		compare(t, r.Snapshot(r.Regions[0], 1), first)
	}
	r.look(t, kept)
	r.publish(t, 3) // does not begin the wait anew, and is not needed either
	r.served(t, 3, 60)
	got := r.reap(t)
	r.reap(t)
	r.look(t, third)
	if got.Objects != 1 || got.Bytes != 3 || got.Waiting != 0 {
		t.Errorf("reaped %+v, want one object of 3 bytes", got)
	}
	if r.Snapshot != nil {
		if _, err := os.Stat(r.Snapshot(r.Regions[0], 1)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("snapshot 1 is still there: %v", err)
		}
	}
}

func testUnconfirmed(t *testing.T, h Harness) {
	r := newRig(t, h, first, second)
	r.publish(t, 1)
	r.confirm(t, 1)
	r.publish(t, 2)
	for range 100 {
		r.now = r.now.Add(time.Hour)
		if got := r.reap(t); got.Objects != 0 {
			t.Fatalf("reaped although no probe saw generation 2: %+v", got)
		}
	}
	r.served(t, 2, 1)
	if got := r.reap(t); got.Objects != 0 {
		t.Errorf("reaped an hour after the first probe: %+v", got)
	}
	r.served(t, 2, 3)
	if got := r.reap(t); got.Objects != 1 {
		t.Errorf("reaped %+v, want one object", got)
	}
}

func testOlderProbe(t *testing.T, h Harness) {
	r := newRig(t, h, first, second)
	r.publish(t, 1)
	r.confirm(t, 1)
	r.publish(t, 2)
	r.reap(t)
	r.served(t, 2, 100)
	r.served(t, 1, 1) // a front end went back, or had never come along
	r.served(t, 2, 1)
	if got := r.reap(t); got.Objects != 0 {
		t.Errorf("reaped although clients were served generation 1 an hour ago: %+v", got)
	}
	r.served(t, 2, 3)
	if got := r.reap(t); got.Objects != 1 {
		t.Errorf("reaped %+v, want one object", got)
	}
	if err := r.open().Confirm(context.Background(), r.Regions[0], 3); err == nil {
		t.Error("a generation that was never published was confirmed")
	}
}

func testReadded(t *testing.T, h Harness) {
	back := Content{"pool/a": "aaa", "pool/b/b": "bbb", "dists/x/P": "a b c", "dists/Release": "3"}
	without := Content{"pool/b/b": "bbb", "dists/x/P": "b d", "dists/Release": "4"}
	r := newRig(t, h, first, second, back, without)
	r.publish(t, 1)
	r.served(t, 1, 1)
	r.publish(t, 2)
	r.served(t, 2, 1)
	r.reap(t)
	r.publish(t, 3)
	r.reap(t)
	r.served(t, 3, 200)
	if got := r.reap(t); got.Objects != 2 { // pool/b/c and pool/d/e/f
		t.Errorf("reaped %+v, want the two objects that stayed away", got)
	}
	r.look(t, back)
	r.publish(t, 4)
	r.served(t, 4, 1)
	r.reap(t)
	r.look(t, with(without, Content{"pool/a": "aaa"}))
	r.served(t, 4, 60)
	r.reap(t)
	r.look(t, without)
}

func testDroppedTwice(t *testing.T, h Harness) {
	without := Content{"pool/b/b": "bbb", "dists/x/P": "b d", "dists/Release": "4"}
	r := newRig(t, h, without, with(first, Content{"pool/b/c": "ccc"}), without, first, without)
	for n := 1; n <= 3; n++ {
		r.publish(t, n)
		r.reap(t)
		r.served(t, int64(n), 1)
	}
	r.served(t, 3, 40)
	for n := 4; n <= 5; n++ {
		r.publish(t, n)
		r.reap(t)
		r.served(t, int64(n), 1)
	}
	r.served(t, 5, 10) // what generation 3 dropped is due, what generation 5 dropped again is not
	if got := r.reap(t); got.Objects != 0 || got.Waiting != 2 {
		t.Errorf("reaped %+v, want none of the two that were dropped again", got)
	}
	r.look(t, with(without, Content{"pool/a": "aaa", "pool/b/c": "ccc"}))
	r.served(t, 5, 50)
	r.reap(t)
	r.look(t, without)
}

func testChanged(t *testing.T, h Harness) {
	changed := with(first, Content{"pool/b/b": "BBB", "dists/Release": "2"})
	r := newRig(t, h, first, changed)
	r.publish(t, 1)
	r.publish(t, 2)
	r.look(t, changed)
	if r.Snapshot != nil {
		compare(t, r.Snapshot(r.Regions[0], 1), first)
	}
}

func testRemovedIndex(t *testing.T, h Harness) {
	less := with(first)
	delete(less, "dists/Old")
	delete(less, "dists/x/P") // the last name in its directory
	r := newRig(t, h, first, less)
	r.publish(t, 1)
	r.publish(t, 2)
	r.look(t, less)
}

func testFileForDirectory(t *testing.T, h Harness) {
	file := Content{"pool/b": "now a file", "pool/a": "aaa", "dists/Release": "2"}
	again := Content{"pool/b/b": "bbb again", "pool/a": "aaa", "dists/Release": "3"}
	r := newRig(t, h, first, file, again)
	for n, want := range []Content{first, file, again} {
		r.publish(t, n+1)
		r.served(t, int64(n+1), 1)
		r.reap(t)
		r.look(t, want)
	}
	r.served(t, 3, 100)
	r.reap(t)
	r.look(t, again)
}
