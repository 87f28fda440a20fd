package afs_test

import (
	"net/netip"
	"strings"
	"testing"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/vos"
)

// setupRig is a volume that the spec wants and that does not exist yet. Its
// name has no mount point: the cell's client has no fs to make one.
func setupRig(t *testing.T, name string, sites ...string) (afsadmin.Cell, []afsadmin.Volume) {
	t.Helper()
	c := afslab.Up(t)
	r := &rig{cell: c}
	v := afsadmin.Volume{Name: name, Mirror: name, Mount: t.TempDir(), Server: c.Addr(afslab.FS0), Partition: "a", Quota: 70000}
	for _, s := range sites {
		v.Sites = append(v.Sites, afsadmin.Site{Region: "at-" + s, Server: c.Addr(s), Partition: "a"})
	}
	cell := afsadmin.Cell{Name: afslab.Name, Principal: "release", Keytab: afslab.Keytab("release"), Enter: r.enter(t, afslab.Writer)}
	t.Cleanup(func() {
		for _, s := range append(sites, afslab.FS0) {
			suffix := ".readonly"
			if s == afslab.FS0 {
				suffix = ""
			}
			c.On(afslab.DB, "vos", "remove", "-server", c.Addr(s), "-partition", "a", "-id", name+suffix, "-localauth")
		}
	})
	return cell, []afsadmin.Volume{v}
}

func made(t *testing.T, cell afsadmin.Cell, want []afsadmin.Volume) (done []string, left []afsadmin.Step) {
	t.Helper()
	left, err := cell.Make(t.Context(), want, func(s afsadmin.Step) { done = append(done, strings.Join(s.Command[:2], " ")) })
	if err != nil {
		t.Fatal(err)
	}
	return done, left
}

func entryOf(t *testing.T, cell afsadmin.Cell, name string) vos.Entry {
	t.Helper()
	e, err := cell.Entry(t.Context(), name)
	if err != nil || e == nil {
		t.Fatalf("entry of %s: %v %v", name, e, err)
	}
	return *e
}

// TestSetupMakesVolumes: from nothing to a released volume with its sites and
// quota, once; then what is taken away or changed is mended, and nothing else.
func TestSetupMakesVolumes(t *testing.T) {
	t.Parallel()
	cell, want := setupRig(t, "setup.made", afslab.FS1, afslab.FS2)
	steps, err := cell.Missing(t.Context(), want)
	if err != nil || len(steps) != 4 {
		t.Fatalf("planned %v %v", steps, err)
	}
	if e, err := cell.Entry(t.Context(), "setup.made"); e != nil || err != nil {
		t.Fatalf("planning made something: %v %v", e, err)
	}
	done, left := made(t, cell, want)
	if got := strings.Join(done, ", "); got != "vos create, vos addsite, vos addsite, vos release" || len(left) != 0 {
		t.Errorf("did %s, left %v", got, left)
	}
	first := entryOf(t, cell, "setup.made")
	if first.RO == 0 || len(first.Sites) != 3 {
		t.Errorf("the database has %+v", first)
	}
	for _, s := range first.Sites {
		if s.State != vos.Current {
			t.Errorf("site %+v", s)
		}
	}
	if done, left := made(t, cell, want); len(done)+len(left) != 0 {
		t.Errorf("the second time it did %v, left %v", done, left)
	}
	want[0].Quota = 90000
	want[0].Sites = append(want[0].Sites, afsadmin.Site{Region: "at-fs3", Server: cellAddr(t, afslab.FS3), Partition: "a"})
	t.Cleanup(func() {
		afslab.Up(t).On(afslab.DB, "vos", "remove", "-server", cellAddr(t, afslab.FS3), "-partition", "a", "-id", "setup.made.readonly", "-localauth")
	})
	if done, _ := made(t, cell, want); strings.Join(done, ", ") != "vos setfields, vos addsite" {
		t.Errorf("after a change of the spec it did %v", done)
	}
	have, err := cell.Look(t.Context(), want)
	if err != nil || have.Volumes["setup.made"].RW.Quota != 90000 {
		t.Errorf("quota: %+v %v", have.Volumes["setup.made"].RW, err)
	}
}

func cellAddr(t *testing.T, host string) string { return afslab.Up(t).Addr(host) }

// TestSetupNeedsRights: who may not, changes nothing and is told so.
func TestSetupNeedsRights(t *testing.T) {
	t.Parallel()
	cell, want := setupRig(t, "setup.rights", afslab.FS1)
	cell.Principal, cell.Keytab = "nobody", afslab.Keytab("nobody")
	_, err := cell.Make(t.Context(), want, func(s afsadmin.Step) { t.Errorf("did %v", s) })
	if err == nil || !strings.Contains(err.Error(), "bos adduser") || !strings.Contains(err.Error(), "vos create") {
		t.Error(err)
	}
	if e, err := cell.Entry(t.Context(), "setup.rights"); e != nil || err != nil {
		t.Errorf("%v %v", e, err)
	}
}

// TestRetireAndRebuildOfASite: a retired site is out of the database and its
// copy stays; a rebuilt one is empty until the next release; the last is kept.
func TestRetireAndRebuildOfASite(t *testing.T) {
	t.Parallel()
	cell, want := setupRig(t, "setup.region", afslab.FS1, afslab.FS2)
	made(t, cell, want)
	ctx := t.Context()
	done, err := cell.Rebuild(ctx, "at-fs1", want)
	if err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	for _, s := range entryOf(t, cell, "setup.region").Sites {
		fs1 := s.Server == netip.MustParseAddr(cellAddr(t, afslab.FS1))
		if fs1 != (s.State == vos.NotReleased) {
			t.Errorf("after the rebuild of fs1: %+v", s)
		}
	}
	if copies(t, "setup.region", afslab.FS1) != 0 {
		t.Error("the copy that was to be built anew is still on fs1")
	}
	if _, err := cell.Change(ctx, "release", "-id", "setup.region"); err != nil {
		t.Fatal(err)
	}
	if n := copies(t, "setup.region", afslab.FS1); n != 1 {
		t.Errorf("%d copies on fs1 after the release", n)
	}
	if done, err := cell.Retire(ctx, "at-fs1", want); err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	if e := entryOf(t, cell, "setup.region"); len(e.Sites) != 2 {
		t.Errorf("after the retirement of fs1: %+v", e.Sites)
	}
	if copies(t, "setup.region", afslab.FS1) != 1 {
		t.Error("the copy of the retired site is gone: clients that know it miss their packages")
	}
	if done, err := cell.Retire(ctx, "at-fs1", want); err != nil || len(done) != 0 {
		t.Errorf("the second time: %v %v", done, err)
	}
	if _, err := cell.Retire(ctx, "at-fs2", want); err == nil || !strings.Contains(err.Error(), "only read-only site") {
		t.Errorf("the last site: %v", err)
	}
}

// copies counts the read-only copies of a volume on a server's disk.
func copies(t *testing.T, volume, host string) int {
	t.Helper()
	out, err := afslab.Up(t).On(afslab.DB, "vos", "listvol", "-server", cellAddr(t, host), "-noauth")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), volume+".readonly ")
}
