package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/mirrorspec"
)

// TestEveryChangeOfASpecReachesItsSchedule: what a schedule does not take over,
// its cycles never do, and every run on demand says that it should.
func TestEveryChangeOfASpecReachesItsSchedule(t *testing.T) {
	spec := func(change func(*mirrorspec.Spec)) *mirrorspec.Spec {
		s := &mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "demo", Every: 1}, Regions: []mirrorspec.Region{{Name: "dfw"}, {Name: "ord"}},
			Mirrors: []mirrorspec.Mirror{{Name: "debian"}, {Name: "ubuntu"}}}
		change(s)
		return s
	}
	for name, tc := range map[string]struct {
		change func(*mirrorspec.Spec)
		want   []string
	}{
		"nothing":       {func(*mirrorspec.Spec) {}, nil},
		"a storage":     {func(s *mirrorspec.Spec) { s.Storage.MinFree = 1 }, []string{"storage: changed"}},
		"a webhook":     {func(s *mirrorspec.Spec) { s.Notify = &mirrorspec.Notify{URLFile: "/etc/webhook"} }, []string{"notify: added"}},
		"another order": {func(s *mirrorspec.Spec) { slices.Reverse(s.Mirrors) }, []string{"order of mirrors or regions: changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			have, err := appliedOf(spec(func(*mirrorspec.Spec) {}))
			if err != nil {
				t.Fatal(err)
			}
			want, err := appliedOf(spec(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, have.difference(want)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
