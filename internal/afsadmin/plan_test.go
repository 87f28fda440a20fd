package afsadmin_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/vos"
	"mirrorcycle/mirrorspec"
)

const (
	debian = "/afs/.example.org/mirror/debian"
	state  = "/afs/.example.org/mirror/state"
)

func spec() *mirrorspec.Spec {
	return &mirrorspec.Spec{
		Storage: mirrorspec.Storage{Root: "/afs/.example.org/mirror", State: state},
		AFS: &mirrorspec.AFS{Cell: "example.org", Auth: mirrorspec.AuthKeytab, WritePrincipal: "service/mirror@EXAMPLE.ORG", VolumePrefix: "mirror.",
			Server: "192.0.2.10", Partition: "a", Quota: 100 << 20},
		Regions: []mirrorspec.Region{{Name: "dfw", AFS: &mirrorspec.Site{Server: "192.0.2.1", Partition: "a"}},
			{Name: "iad", AFS: &mirrorspec.Site{Server: "192.0.2.2", Partition: "b"}}, {Name: "local", Dir: "/srv/local"}},
		Mirrors: []mirrorspec.Mirror{{Name: "debian", Regions: []string{"dfw", "iad", "local"}}, {Name: "pypi", Regions: []string{"local"}}},
	}
}

func site(addr, partition string, readOnly bool, s vos.SiteState) vos.Site {
	return vos.Site{Server: netip.MustParseAddr(addr), Partition: partition, ReadOnly: readOnly, State: s}
}

var fine = afsadmin.Mount{Exists: true, Published: true, Asked: true, Volume: "mirror.debian",
	Rights: map[string]string{"service.mirror": "rlidwk", "system:anyuser": "rl"}}

func whole() afsadmin.State {
	stateMount := fine
	stateMount.Volume, stateMount.Rights = "mirror.state", map[string]string{"service.mirror": "rlidwk"}
	return afsadmin.State{
		Volumes: map[string]afsadmin.Found{
			"mirror.debian": {Written: true, RW: &vos.Instance{Quota: 100 << 10, Used: 5}, Entry: vos.Entry{RW: 1, RO: 2,
				Sites: []vos.Site{site("192.0.2.10", "a", false, ""), site("192.0.2.1", "a", true, ""), site("192.0.2.2", "b", true, "")}}},
			"mirror.state": {Written: true, RW: &vos.Instance{Quota: 100 << 10}, Entry: vos.Entry{RW: 4, Sites: []vos.Site{site("192.0.2.10", "a", false, "")}}},
		},
		Addresses: map[string][]netip.Addr{"192.0.2.1": {netip.MustParseAddr("192.0.2.1")}, "192.0.2.2": {netip.MustParseAddr("192.0.2.2")}},
		Mounts:    map[string]afsadmin.Mount{debian: fine, state: stateMount},
	}
}

func TestPlan(t *testing.T) {
	change := func(s afsadmin.State, f func(*afsadmin.Found)) {
		v := s.Volumes["mirror.debian"]
		f(&v)
		s.Volumes["mirror.debian"] = v
	}
	for _, c := range []struct {
		name string
		prep func(*mirrorspec.Spec, afsadmin.State)
		want []string // tool: command, or what is missing where a person has to think
	}{
		{"nothing is missing", func(*mirrorspec.Spec, afsadmin.State) {}, nil},
		{"an empty cell", func(_ *mirrorspec.Spec, s afsadmin.State) {
			clear(s.Volumes)
			s.Mounts[debian], s.Mounts[state] = afsadmin.Mount{Asked: true}, afsadmin.Mount{Asked: true}
		}, []string{
			"vos: vos create -server 192.0.2.10 -partition a -name mirror.debian -maxquota 102400",
			"fs: fs mkmount -dir " + debian + " -vol mirror.debian",
			"fs: fs setacl -dir " + debian + " -acl service.mirror rlidwk system:anyuser rl",
			"vos: vos addsite -server 192.0.2.1 -partition a -id mirror.debian",
			"vos: vos addsite -server 192.0.2.2 -partition b -id mirror.debian",
			"vos: vos release -id mirror.debian",
			"vos: vos create -server 192.0.2.10 -partition a -name mirror.state -maxquota 102400",
			"fs: fs mkmount -dir " + state + " -vol mirror.state",
			"fs: fs setacl -dir " + state + " -acl service.mirror rlidwk",
		}},
		{"an empty cell, seen from a host without fs", func(_ *mirrorspec.Spec, s afsadmin.State) {
			delete(s.Volumes, "mirror.debian")
			s.Mounts[debian] = afsadmin.Mount{}
		}, []string{
			"vos: vos create -server 192.0.2.10 -partition a -name mirror.debian -maxquota 102400",
			"by hand: fs mkmount -dir " + debian + " -vol mirror.debian",
			"by hand: fs setacl -dir " + debian + " -acl service.mirror rlidwk system:anyuser rl",
			"vos: vos addsite -server 192.0.2.1 -partition a -id mirror.debian",
			"vos: vos addsite -server 192.0.2.2 -partition b -id mirror.debian",
			"vos: vos release -id mirror.debian",
		}},
		{"nobody says where to make volumes", func(sp *mirrorspec.Spec, s afsadmin.State) {
			sp.AFS.Server = ""
			delete(s.Volumes, "mirror.debian")
		}, []string{"by hand: it does not exist, and the spec does not say where to make it: write afs.server and afs.partition"}},
		{"a new region of a mirror that is served: the next cycle fills it", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.Entry.Sites = f.Entry.Sites[:2] })
		}, []string{"vos: vos addsite -server 192.0.2.2 -partition b -id mirror.debian"}},
		{"a tree with a generation is never released here", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) {
				f.Entry.Sites = []vos.Site{site("192.0.2.10", "a", false, ""), site("192.0.2.1", "a", true, vos.NotReleased), site("192.0.2.2", "b", true, vos.NotReleased)}
			})
		}, nil},
		{"another quota", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.RW = &vos.Instance{Quota: 5000} })
		}, []string{"vos: vos setfields -id mirror.debian -maxquota 102400"}},
		{"a quota below what is used", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.RW = &vos.Instance{Quota: 500000, Used: 200000} })
		}, []string{"by hand: it holds 200000 KB, more than the quota of 102400 KB that the spec wants: raise afs.quota"}},
		{"a server that is down", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.RW = nil })
		}, nil},
		{"a region's site on another partition", func(sp *mirrorspec.Spec, _ afsadmin.State) { sp.Regions[1].AFS.Partition = "c" },
			[]string{"by hand: vos remove -server 192.0.2.2 -partition b -id mirror.debian.readonly"}},
		{"a region's server without an address", func(sp *mirrorspec.Spec, _ afsadmin.State) { sp.Regions[1].AFS.Server = "afs9.example.org" },
			[]string{"by hand: region iad: this host knows no address of server afs9.example.org"}},
		{"no region's server has an address: there is nothing to release to", func(sp *mirrorspec.Spec, s afsadmin.State) {
			sp.Regions[0].AFS.Server, sp.Regions[1].AFS.Server = "afs8.example.org", "afs9.example.org"
			change(s, func(f *afsadmin.Found) { f.Written, f.Entry.Sites = false, f.Entry.Sites[:1] })
		}, []string{"by hand: region dfw: this host knows no address of server afs8.example.org", "by hand: region iad: this host knows no address of server afs9.example.org"}},
		{"state with a read-only site", func(_ *mirrorspec.Spec, s afsadmin.State) {
			v := s.Volumes["mirror.state"]
			v.Entry.Sites = append(v.Entry.Sites, site("192.0.2.1", "a", true, ""))
			s.Volumes["mirror.state"] = v
		}, []string{"by hand: vos remove -server 192.0.2.1 -partition a -id mirror.state.readonly"}},
		{"state in a volume of another name", func(_ *mirrorspec.Spec, s afsadmin.State) {
			delete(s.Volumes, "mirror.state")
			s.Mounts[state] = afsadmin.Mount{Exists: true, Asked: true, Published: true, Volume: "service.state"}
		}, nil},
		{"state in the volume of the mount points", func(_ *mirrorspec.Spec, s afsadmin.State) {
			delete(s.Volumes, "mirror.state")
			s.Mounts[state] = afsadmin.Mount{Exists: true, Asked: true, Published: true}
		}, []string{"by hand: " + state + " is a directory of a volume that may be released: give state a volume of its own"}},
		{"something else at the mount point", func(_ *mirrorspec.Spec, s afsadmin.State) {
			s.Mounts[debian] = afsadmin.Mount{Exists: true, Asked: true, Published: true, Rights: fine.Rights}
		}, []string{"by hand: fs mkmount -dir " + debian + " -vol mirror.debian"}},
		{"nobody but the writer may read", func(_ *mirrorspec.Spec, s afsadmin.State) {
			m := fine
			m.Rights = map[string]string{"service.mirror": "rlidwka"}
			s.Mounts[debian] = m
		}, []string{"fs: fs setacl -dir " + debian + " -acl system:anyuser rl"}},
		{"a mount point that clients do not see", func(_ *mirrorspec.Spec, s afsadmin.State) {
			m := fine
			m.Published = false
			s.Mounts[debian] = m
		}, []string{"by hand: vos release -id VOLUME-OF-/afs/.example.org/mirror"}},
		{"a locked entry", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.Entry.Locked = true })
		}, []string{"by hand: vos unlock -id mirror.debian"}},
		{"a lost read-write volume", func(_ *mirrorspec.Spec, s afsadmin.State) {
			change(s, func(f *afsadmin.Found) { f.Entry.RW = 0 })
		}, []string{"by hand: the database knows it, but no read-write volume: restore it (vos restore, vos convertROtoRW)"}},
		{"a name that AFS cannot hold", func(sp *mirrorspec.Spec, _ afsadmin.State) { sp.AFS.VolumePrefix = "openstack.mirrors." },
			[]string{"by hand: the name has more than 22 characters: write a shorter volume-prefix, or rename the mirror",
				"by hand: the name has more than 22 characters: write a shorter volume-prefix, or rename the mirror"}},
		{"a mirror called like the volume of state", func(sp *mirrorspec.Spec, s afsadmin.State) {
			sp.Mirrors[0].Name = "state"
			s.Volumes["mirror.state"] = s.Volumes["mirror.debian"]
			m := fine
			m.Volume = "mirror.state"
			s.Mounts[state] = m
		}, []string{"by hand: both " + state + " and " + state + " would have this volume: rename the mirror"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp, have := spec(), whole()
			c.prep(sp, have)
			var got []string
			for _, s := range afsadmin.Plan(afsadmin.Wanted(sp), have) {
				text := s.Missing
				if len(s.Command) > 0 {
					text = strings.Join(s.Command, " ")
				}
				got = append(got, string(s.Tool)+": "+text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUserOfPrincipal(t *testing.T) {
	for in, want := range map[string]string{"mirror": "mirror", "service/mirror@EXAMPLE.ORG": "service.mirror", "mirror@EXAMPLE.ORG": "mirror"} {
		if got := afsadmin.User(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
