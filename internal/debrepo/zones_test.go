package debrepo_test

import (
	"testing"

	"mirrorcycle/internal/debrepo"
)

// TestZonesOfADate: apt takes five names of UTC, and nothing else.
func TestZonesOfADate(t *testing.T) {
	for zone, ok := range map[string]bool{"UTC": true, "GMT": true, "Z": true, "+0000": true, "-0000": true, "+0200": false, "CET": false} {
		if r, err := debrepo.ParseRelease([]byte("Date: Tue, 01 Aug 2023 12:00:00 " + zone + "\n")); err != nil || (r.DateFlaw == "") != ok || r.Date.IsZero() == ok {
			t.Errorf("%s: %+v %v", zone, r, err)
		}
	}
}
