package doctor_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/doctor"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// want fails the test unless a finding has the status and its line the text.
func want(t *testing.T, f doctor.Finding, s doctor.Status, text string) {
	t.Helper()
	if f.Status != s || !strings.Contains(f.String(), text) {
		t.Errorf("%s\nwant %s, and %q in it", f, s, text)
	}
}

// place is a storage that is as it should be, with a region.
func place(t *testing.T) (*mirrorspec.Spec, mirrorspec.Mirror) {
	t.Helper()
	root := t.TempDir()
	spec := &mirrorspec.Spec{Storage: mirrorspec.Storage{Root: filepath.Join(root, "trees"), State: filepath.Join(root, "state"), MinFree: 1},
		Regions: []mirrorspec.Region{{Name: "dfw", Dir: filepath.Join(root, "dfw"), Site: filepath.Join(root, "dfw-site")}},
		Mirrors: []mirrorspec.Mirror{{Name: "debian", Kind: mirrorspec.Apt, Regions: []string{"dfw"}}}}
	if _, err := tree.Setup(tree.Config{Dir: spec.TreeDir("debian"), State: spec.StateDir("debian")}, "debian"); err != nil {
		t.Fatal(err)
	}
	must(t, dir.Setup(spec.Regions[0].Dir, "dfw"))
	must(t, site.Setup(spec.Regions[0].Site, "dfw"))
	return spec, spec.Mirrors[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStorage(t *testing.T) {
	for name, c := range map[string]struct {
		harm                            func(*testing.T, *mirrorspec.Spec)
		tree, state, room, region, site string // what is wrong, "" for ok
	}{
		"as it should be": {harm: func(*testing.T, *mirrorspec.Spec) {}},
		"a tree that is not mounted": {harm: func(t *testing.T, s *mirrorspec.Spec) { must(t, os.RemoveAll(s.TreeDir("debian"))) },
			tree: "mount the right storage", room: "the tree is not there"},
		"another mirror's tree": {harm: func(t *testing.T, s *mirrorspec.Spec) {
			must(t, os.Rename(s.TreeDir("debian"), s.TreeDir("ubuntu")))
			must(t, os.Rename(s.StateDir("debian"), s.StateDir("ubuntu")))
			must(t, os.Symlink("ubuntu", s.TreeDir("debian")))
			must(t, os.Symlink("ubuntu", s.StateDir("debian")))
			for _, d := range []string{filepath.Join(s.TreeDir("ubuntu"), ".mirror"), s.StateDir("ubuntu")} {
				text, err := os.ReadFile(filepath.Join(d, "id"))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(d, "id"), []byte(strings.ReplaceAll(string(text), `"mirror":"debian"`, `"mirror":"ubuntu"`)), 0o644))
			}
		}, tree: "it is the tree of mirror ubuntu", room: "the tree is not there"},
		"no state": {harm: func(t *testing.T, s *mirrorspec.Spec) { must(t, os.RemoveAll(s.StateDir("debian"))) },
			tree: "mount the right state", state: "mount the storage", room: "the tree is not there"},
		"a full disk": {harm: func(_ *testing.T, s *mirrorspec.Spec) { s.Storage.MinFree = 1 << 60 }, room: "free space, raise the quota, or lower storage.min-free"},
		"a region that is not mounted": {harm: func(t *testing.T, s *mirrorspec.Spec) { must(t, os.RemoveAll(s.Regions[0].Dir)) },
			region: "mount the region"},
		"another region's directory": {harm: func(_ *testing.T, s *mirrorspec.Spec) { s.Regions[0].Name, s.Mirrors[0].Regions[0] = "iad", "iad" },
			region: "it belongs to region dfw, not to iad", site: "it is not the site of region iad"},
		"a region with something else in it": {harm: func(t *testing.T, s *mirrorspec.Spec) {
			must(t, os.Mkdir(filepath.Join(s.Regions[0].Dir, "debian"), 0o755))
		}, region: "it is not the link"},
		"a region elsewhere": {harm: func(t *testing.T, s *mirrorspec.Spec) {
			s.Regions[0].Pull = true
			must(t, os.RemoveAll(s.Regions[0].Dir))
			must(t, os.RemoveAll(s.Regions[0].Site))
		}, region: "not on this host", site: "not on this host"},
		"a site that is not mounted": {harm: func(t *testing.T, s *mirrorspec.Spec) { must(t, os.RemoveAll(s.Regions[0].Site)) },
			site: "run starter setup, or mount it"},
		"a site without identity": {harm: func(t *testing.T, s *mirrorspec.Spec) {
			must(t, os.RemoveAll(s.Regions[0].Site))
			must(t, os.Mkdir(s.Regions[0].Site, 0o755))
		}, site: "run starter setup, or mount the right directory"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, m := place(t)
			c.harm(t, spec)
			check := func(f doctor.Finding, wrong string) {
				t.Helper()
				s := doctor.OK
				switch {
				case strings.Contains(wrong, "the tree is not there"), strings.Contains(wrong, "not on this host"):
					s = doctor.Unknown
				case wrong != "":
					s = doctor.Problem
				}
				want(t, f, s, wrong)
			}
			check(doctor.Tree(spec, m), c.tree)
			check(doctor.State(spec, m), c.state)
			check(doctor.Room(t.Context(), spec, m), c.room)
			check(doctor.Region(t.Context(), spec, spec.Regions[0]), c.region)
			check(doctor.Site(spec.Regions[0]), c.site)
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(spec.Storage.Root), "*", "*", "doctor.*"))
			if more, _ := filepath.Glob(filepath.Join(filepath.Dir(spec.Storage.Root), "*", "*", ".mirror", "doctor.*")); len(left)+len(more) > 0 {
				t.Errorf("left behind: %v %v", left, more)
			}
		})
	}
}

// TestWriteRight: root may write everywhere, except where a file stands in the way.
func TestWriteRight(t *testing.T) {
	spec, m := place(t)
	must(t, os.RemoveAll(spec.StateDir("debian")))
	must(t, os.WriteFile(spec.StateDir("debian"), nil, 0o644))
	want(t, doctor.State(spec, m), doctor.Problem, "run this as the worker's user")
}

func TestFiles(t *testing.T) {
	d := t.TempDir()
	u, err := demo.New(demo.Options{Dir: filepath.Join(d, "upstream")})
	must(t, err)
	keys, empty, none := filepath.Join(d, "keys.gpg"), filepath.Join(d, "empty.gpg"), filepath.Join(d, "none")
	must(t, os.WriteFile(keys, u.Keyring(), 0o644))
	must(t, os.WriteFile(empty, nil, 0o644))
	for _, c := range []struct {
		mirror mirrorspec.Mirror
		status doctor.Status
		text   string
	}{
		{mirrorspec.Mirror{Keyring: keys}, doctor.OK, "has 1 keys"},
		{mirrorspec.Mirror{Keyring: none}, doctor.Problem, "install the archive's keyring package"},
		{mirrorspec.Mirror{Keyring: empty}, doctor.Problem, "holds no usable key"},
		{mirrorspec.Mirror{Netrc: keys}, doctor.OK, "netrc"},
		{mirrorspec.Mirror{ClientKey: none}, doctor.Problem, "client key"},
	} {
		want(t, doctor.Files(c.mirror)[0], c.status, c.text)
	}
}

func TestTemporal(t *testing.T) {
	client, _ := lab.Temporal(t)
	s := doctor.Server{Client: client, Namespace: "default"}
	for _, c := range []struct {
		name       string
		server     doctor.Server
		attributes map[string]string
		ahead      time.Duration
		status     doctor.Status
		text       string // of the last finding that is not ok
	}{
		{"as it should be", s, workflows.SearchAttributes(), 0, doctor.OK, "the clocks agree"},
		{"out of reach", doctor.Server{Err: errors.New("nobody listens")}, nil, 0, doctor.Problem, "nobody listens"},
		{"no such namespace", doctor.Server{Client: client, Namespace: "nonesuch"}, nil, 0, doctor.Problem, "set TEMPORAL_NAMESPACE"},
		{"no such attribute", s, map[string]string{"MirrorColour": "Keyword"}, 0, doctor.Problem, "MirrorColour; run starter setup"},
		{"an attribute of another type", s, map[string]string{"MirrorName": "Int"}, 0, doctor.Problem, "MirrorName; run starter setup"},
		{"a clock that is ahead", s, workflows.SearchAttributes(), 5 * time.Minute, doctor.Problem, "they differ by 5m0s"},
		{"a clock that is behind", s, workflows.SearchAttributes(), -5 * time.Minute, doctor.Problem, "they differ by 5m0s"},
	} {
		all := c.server.Examine(t.Context(), c.attributes, func() time.Time { return time.Now().Add(c.ahead) })
		worst := all[len(all)-1]
		for _, f := range all {
			if f.Status != doctor.OK {
				worst = f
			}
		}
		if !strings.Contains(worst.String(), c.text) || worst.Status != c.status || doctor.Healthy(all) != (c.status == doctor.OK) {
			t.Errorf("%s: %s; want %s, %q", c.name, worst, c.status, c.text)
		}
	}
}

func TestTools(t *testing.T) {
	c := doctor.Cell{}
	none := func(string) (string, error) { return "", errors.New("none") }
	want(t, c.Tools(func(string) (string, error) { return "/usr/bin/x", nil }), doctor.OK, "vos, k5start, aklog are there")
	want(t, c.Tools(none), doctor.Problem, "install openafs-client, openafs-krb5 and kstart")
	c.Localauth = true
	want(t, c.Tools(none), doctor.Problem, "not in PATH: vos;")
}

// TestCellOutOfReach: without its programs every question of a cell ends in a finding.
func TestCellOutOfReach(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c := doctor.Cell{Cell: afsadmin.Cell{Name: "example.org", Principal: "release", Keytab: "/none"}, AFS: mirrorspec.AFS{WritePrincipal: "mirror", WriteKeytab: "/none"}}
	volumes := []afsadmin.Volume{{Name: "mirror.debian", Mirror: "debian", Server: "192.0.2.1", Sites: []afsadmin.Site{{Server: "192.0.2.2"}}}}
	all := c.Examine(context.Background(), volumes)
	if len(all) != 1 || doctor.Healthy(all) {
		t.Errorf("%v", all)
	}
	want(t, c.Database(t.Context(), "mirror.debian"), doctor.Problem, "check CellServDB")
	for _, f := range append(c.Tickets(t.Context()), append(c.MayRelease(t.Context(), volumes), c.Volumes(t.Context(), volumes)...)...) {
		want(t, f, doctor.Problem, "install")
	}
	want(t, c.Clocks(t.Context())[0], doctor.Unknown, "")
}

func TestDatabaseServers(t *testing.T) {
	text := ">grand.example.org  #first\n192.0.2.9 #a\n>example.org #second\n192.0.2.1\t#afsdb1\n[192.0.2.2]\t#a clone\nnonsense\n>other\n192.0.2.3\n"
	got := doctor.DatabaseServers([]byte(text), "example.org")
	if len(got) != 2 || got[0] != netip.MustParseAddr("192.0.2.1") || got[1] != netip.MustParseAddr("192.0.2.2") {
		t.Error(got)
	}
	if got := doctor.DatabaseServers([]byte(text), "none"); len(got) != 0 {
		t.Error(got)
	}
}

func TestServerTime(t *testing.T) {
	// Recorded from udebug of OpenAFS 1.8.9.
	at, ok := doctor.ServerTime([]byte("Host's addresses are: 10.77.0.10 \nHost's 10.77.0.10 time is Sun Nov 22 17:18:49 2026\nLocal time is Sun Nov 22 17:18:40 2026 (time differential 9 secs)\n"))
	if !ok || !at.Equal(time.Date(2026, 11, 22, 17, 18, 49, 0, time.UTC)) {
		t.Error(at, ok)
	}
	if _, ok := doctor.ServerTime([]byte("return code -1 from VOTE_Debug\n")); ok {
		t.Error("a time out of nothing")
	}
}

func FuzzServerText(f *testing.F) {
	f.Add("Host's 10.77.0.10 time is Sun Nov 22 17:18:49 2026\n>example.org\n192.0.2.1 # x\n")
	f.Fuzz(func(t *testing.T, text string) {
		doctor.ServerTime([]byte(text))
		doctor.DatabaseServers([]byte(text), "example.org")
	})
}
