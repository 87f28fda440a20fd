package release_test

import (
	"testing"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/release"
)

// TestLacking: a site that is down keeps nothing from the others; when none
// answers, nobody knows.
func TestLacking(t *testing.T) {
	silent := backend.Outcome{Region: "off", Silent: true, Kind: "unavailable"}
	has := backend.Outcome{Region: "has", Serves: 7}
	for _, tc := range []struct {
		name  string
		sites []backend.Outcome
		want  string // region, "" for none
	}{
		{"all have it", []backend.Outcome{has, {Region: "newer", Serves: 8}}, ""},
		{"one is behind", []backend.Outcome{has, {Region: "behind", Serves: 6}}, "behind"},
		{"one is busy", []backend.Outcome{{Region: "busy", Kind: "unavailable"}, has}, "busy"},
		{"one is off", []backend.Outcome{silent, has}, ""},
		{"one is off and one behind", []backend.Outcome{silent, has, {Region: "behind", Serves: 6}}, "behind"},
		{"all are off", []backend.Outcome{silent}, "off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if o := release.Lacking(tc.sites, 7); o != nil {
				got = o.Region
			}
			if got != tc.want {
				t.Errorf("%q lacks it, want %q", got, tc.want)
			}
		})
	}
}
