package vos_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/vos"
)

var equalAddr = cmpopts.EquateComparable(netip.Addr{})

var fs = []netip.Addr{netip.MustParseAddr("10.77.0.11"), netip.MustParseAddr("10.77.1.11"), netip.MustParseAddr("10.77.2.11"), netip.MustParseAddr("10.77.3.11")}

// sites are RW on fs0 and RO on fs1 to fs3, in these states.
func sites(states ...vos.SiteState) []vos.Site {
	all := []vos.Site{{Server: fs[0], Partition: "a"}}
	for i, s := range states {
		if i > 0 {
			all = append(all, vos.Site{Server: fs[i], Partition: "a", ReadOnly: true})
		}
		all[i].State = s
	}
	return all
}

func TestEntries(t *testing.T) {
	const n, o, no = vos.NewRelease, vos.OldRelease, vos.NotReleased
	for _, tc := range []struct {
		name, in string
		nth      int
		sites    []vos.Site
		clone    bool
		locked   bool
	}{
		{"released", "clean", 0, sites("", "", "", ""), false, false},
		{"never released", "unreleased", 0, sites("", no, no, no), false, false},
		{"without sites", "unreplicated", 0, sites(""), false, false},
		{"a site missed it", "onedown", 0, sites(n, n, n, o), true, false},
		{"the site came back and a plain release ran", "onedown", 1, sites("", "", "", ""), false, false},
		{"the release was killed in mid-transfer", "interrupted", 0, sites(n, n, n, o), true, true},
		{"and was unlocked", "interrupted", 1, sites(n, n, n, o), true, false},
		{"under way", "busy", 0, sites("", "", "", ""), false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := vos.ParseVLDB(pick(t, tc.in, "listvldb", tc.nth).stdout)
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			e := got[0]
			if diff := cmp.Diff(tc.sites, e.Sites, equalAddr); diff != "" {
				t.Error(diff)
			}
			if !strings.HasPrefix(e.Name, "t0") || e.RW == 0 || (e.Clone != 0) != tc.clone || e.Locked != tc.locked {
				t.Errorf("%+v", e)
			}
			if released := tc.in != "unreleased" && tc.in != "unreplicated"; (e.RO != 0) != released {
				t.Errorf("RO %d", e.RO)
			}
		})
	}
}

func TestEntriesOfTheWholeDatabase(t *testing.T) {
	got, err := vos.ParseVLDB(pick(t, "clean", "listvldb -noresolve", 0).stdout)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"root.cell", "t001"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestInstances(t *testing.T) {
	ro, err := vos.ParseExamine(pick(t, "clean", "readonly -format", 1).stdout)
	if err != nil || len(ro) != 3 {
		t.Fatal(ro, err)
	}
	rw, err := vos.ParseExamine(pick(t, "clean", "examine t001 -format", 1).stdout)
	if err != nil || len(rw) != 1 {
		t.Fatal(rw, err)
	}
	for i, in := range append(ro, rw...) {
		if in.Used < 1024 || in.Quota != 2000000 || in.Files != 2 || in.Status != "OK" || in.Partition != "a" || in.Server != fs[(i+1)%4] {
			t.Errorf("%+v", in)
		}
		if age := time.Until(in.Updated); !in.Created.Equal(ro[0].Created) && i < 3 || age > 0 || in.Updated.Year() < 2020 {
			t.Errorf("%+v", in)
		}
	}
	if ro[0].Name != "t001.readonly" || rw[0].Name != "t001" || ro[0].ID != rw[0].ID+1 || !ro[2].Updated.Equal(rw[0].Updated) {
		t.Errorf("%+v %+v", ro, rw)
	}
}

func TestInstancesOfAnUnfinishedRelease(t *testing.T) {
	for name, tc := range map[string]struct {
		in     string
		nth    int
		status []string
	}{
		"a site in a transaction":      {"interrupted", 0, []string{"OK", "OK", "BUSY"}},
		"a site in a transaction, too": {"busy", 0, []string{"BUSY", "OK", "OK"}},
		"a site's server is off":       {"onedown", 0, []string{"OK", "OK"}},
		"a site's server is back":      {"onedown", 1, []string{"OK", "OK", "OK"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := vos.ParseExamine(pick(t, tc.in, "readonly -format", tc.nth).stdout)
			if err != nil {
				t.Fatal(err)
			}
			var status []string
			for i, in := range got {
				status = append(status, in.Status)
				if in.Server != fs[i+1] || in.ID == 0 || (in.Status == "BUSY") != in.Created.IsZero() {
					t.Errorf("%+v", in)
				}
			}
			if diff := cmp.Diff(tc.status, status); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTransactions(t *testing.T) {
	if got, err := vos.ParseStatus(pick(t, "clean", "vos status", 0).stdout); err != nil || len(got) != 0 {
		t.Errorf("on an idle server %+v, %v", got, err)
	}
	var moved []vos.Transaction
	for n, want := range []string{"ForwardMulti", "Restore", "Restore"} {
		got, err := vos.ParseStatus(pick(t, "busy", "vos status", n).stdout)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if x := got[0]; x.ID == 0 || x.Volume == 0 || x.Partition != "a" || x.Procedure != want || x.Created.IsZero() || x.LastActive.Before(x.Created) {
			t.Errorf("%+v", x)
		}
		moved = append(moved, got...)
	}
	if a, b := moved[1], moved[2]; a.ID != b.ID || a.Detail == b.Detail {
		t.Errorf("no progress between\n%+v\n%+v", a, b)
	}
}

func TestPartitions(t *testing.T) {
	got, err := vos.ParsePartinfo(pick(t, "clean", "partinfo", 0).stdout)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, p := range got {
		if p.Name != string("abc"[i]) || p.Free <= 0 || p.Free > p.Total {
			t.Errorf("%+v", p)
		}
	}
	if got[2].Total != 24<<10 {
		t.Errorf("the small partition has %d KB", got[2].Total)
	}
}

// TestEveryTranscriptIsRead holds the parsers to all that was recorded, whatever its state.
func TestEveryTranscriptIsRead(t *testing.T) {
	for _, name := range cases(t) {
		for _, r := range transcript(t, name) {
			var n int
			var err error
			switch {
			case strings.Contains(r.argv, "listvldb"):
				var all []vos.Entry
				all, err = vos.ParseVLDB(r.stdout)
				n = len(all)
			case strings.Contains(r.argv, "examine"):
				var all []vos.Instance
				all, err = vos.ParseExamine(r.stdout)
				n = len(all)
			default:
				continue
			}
			if err != nil || (r.exit == 0 && n == 0) {
				t.Errorf("%s: %s: read %d, %v", name, r.argv, n, err)
			}
		}
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		in, part string
		nth      int
		want     fault.Kind
	}{
		{"clean", "release", 0, ""},
		{"onedown", "release", 0, fault.Unavailable},
		{"onedown", "readonly -format", 0, fault.Unavailable},
		{"onedown", "release", 1, ""},
		{"interrupted", "release", 0, fault.Conflict},
		{"interrupted", "release", 1, ""}, // though it published the old clone
		{"busy", "release", 0, fault.Conflict},
		{"cut", "release", 0, fault.Unavailable},
		{"cut", "release", 1, fault.Unavailable},
		{"rwdown", "release", 0, fault.Unavailable},
		{"dbdown", "listvldb", 0, fault.Unavailable},
		{"dbdown", "release", 0, fault.Unavailable},
		{"dbdown", "k5start", 0, fault.Unavailable},
		{"unknown", "listvldb", 0, fault.Config},
		{"unknown", "examine", 0, fault.Config},
		{"unknown", "release", 0, fault.Config},
		{"unknown", "vos status", 0, fault.Unavailable},
		{"unknown", "partinfo", 0, fault.Config},
		{"unreleased", "readonly -format", 0, fault.Config},
		{"unreplicated", "release", 0, fault.Config},
		{"existing", "addsite", 0, fault.Conflict},
		{"existing", "create", 0, fault.Conflict},
		{"full", "release", 0, fault.Unavailable}, // nothing in it tells that the partition is full
		{"missing", "readonly -format", 0, fault.Config},
		{"rights", "nobody", 0, fault.Denied},
		{"rights", "absent.keytab", 0, fault.Config},
		{"rights", "unheard-of", 0, fault.Config},
		{"rights", "vos release", 4, fault.Denied}, // without any ticket
	} {
		r := pick(t, tc.in, tc.part, tc.nth)
		err := vos.Classify(r.exit, r.stdout, r.stderr)
		if got := fault.KindOf(err); got != tc.want || (err == nil) != (tc.want == "") {
			t.Errorf("%s: %s: %q, not %q: %v\n%s", tc.in, r.argv, got, tc.want, err, r.stderr)
		}
		if errors.Is(err, vos.ErrExpired) {
			t.Errorf("%s: %s: expired: %v", tc.in, r.argv, err)
		}
	}
}

func TestExpired(t *testing.T) {
	for _, part := range []string{"vos release", "vos examine", "aklog"} {
		var r run
		for _, r = range transcript(t, "rights") {
			if strings.Contains(r.argv, "cc.record") && strings.Contains(r.argv, part) {
				break
			}
		}
		if err := vos.Classify(r.exit, r.stdout, r.stderr); !errors.Is(err, vos.ErrExpired) || !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", r.argv, err)
		}
	}
}
