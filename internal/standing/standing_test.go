package standing_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/standing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	state := t.TempDir()
	if r, err := standing.Read(state, "demo"); err != nil || len(r.Status.Mirrors) != 0 {
		t.Errorf("before: %+v %v", r, err)
	}
	want := &standing.Record{Status: site.Status{Mirrors: []site.Mirror{{Name: "debian"}}},
		Details: map[string]standing.Detail{"debian": {Missing: 3, ValidUntil: time.Unix(9, 0).UTC()}}}
	told := standing.Told{"debian": {Condition: "held"}}
	if err := errors.Join(standing.Write(state, "demo", want), standing.WriteTold(state, "demo", told)); err != nil {
		t.Fatal(err)
	}
	got, err := standing.Read(state, "demo")
	gotTold, err2 := standing.ReadTold(state, "demo")
	if diff := cmp.Diff(want, got) + cmp.Diff(told, gotTold); diff != "" || err != nil || err2 != nil {
		t.Errorf("%v %v %s", err, err2, diff)
	}
	if diff := cmp.Diff([]string{"demo"}, standing.List(state)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsWrittenWhereTheStateIsAway(t *testing.T) {
	away := filepath.Join(t.TempDir(), "state")
	if err := standing.Write(away, "demo", new(standing.Record)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if all := standing.List(away); all != nil {
		t.Errorf("%v", all)
	}
}

func TestDamagedIsCorrupt(t *testing.T) {
	state := t.TempDir()
	if err := standing.Write(state, "demo", new(standing.Record)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(standing.Path(state, "demo"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := standing.Read(state, "demo"); !errors.Is(err, fault.Corrupt) {
		t.Errorf("%v", err)
	}
}
