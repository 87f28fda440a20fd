package afs_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
)

// TestDamageThatStays: what a site serves is proved after the second release as
// after the first, or a copy that stays damaged would count as the generation.
func TestDamageThatStays(t *testing.T) {
	p, src := newPaper(t), &sealed{memory: memory{}}
	p.entry("mirror.m", 1, "")
	p.holds("192.0.2.2", 2, src.next(t, 6, "six"), "six")
	p.holds("192.0.2.1", 1, src.next(t, 7, "seven"), "seven")
	p.write("release.mirror.m", "cp -r held/192.0.2.1/1/. held/192.0.2.2/2; echo damage > held/192.0.2.2/2/index\n")
	out := p.publish(p.options(), src)
	if n := p.releases("mirror.m"); n != 2 {
		t.Errorf("%d releases, want another one because of the damage", n)
	}
	if out[0].Kind != string(fault.Corrupt) || out[0].Serves != 0 || !strings.Contains(out[0].Error, "other bytes") {
		t.Errorf("a damaged copy: %+v", out[0])
	}
}
