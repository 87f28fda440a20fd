package yum_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/yum"
)

// stock is a repository from which filters choose.
func stock(revision int64) rpmrepotest.Repo {
	packages := []rpmrepotest.Package{p("mod", "3.0"), p("alpha", "1.9"), p("alpha", "1.10"), p("alpha", "1.10~rc1"), p("alpha", "1.10^git2"), p("mod", "4.0"), p("mod", "5.0"),
		p("beta", "2"), p("beta-debuginfo", "2"), p("beta-debugsource", "2"), p("beta-debuginfo-common", "2"), {Name: "beta", Version: "2", Arch: "src", Content: "source"}}
	return rpmrepotest.Repo{Packages: packages, Revision: revision, Data: map[string]string{
		"modules":     "---\ndocument: modulemd\ndata:\n  artifacts: {rpms: [\"mod-0:3.0-1.noarch\", mod-0:4.0-1.noarch]}\n...\n",
		"updateinfo":  "<updates/>",
		"group":       "<comps/>",
		"prestodelta": "<prestodelta/>",
		"primary_db":  "sqlite",
		"x-vendor":    "x",
	}}
}

func TestFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		filter yum.Filter
		want   string
	}{
		"names and globs":         {yum.Filter{Packages: []string{"alpha", "beta-debug*"}}, "alpha-1.10-1 alpha-1.10^git2-1 alpha-1.10~rc1-1 alpha-1.9-1 beta-debuginfo-2-1 beta-debuginfo-common-2-1 beta-debugsource-2-1"},
		"all but some":            {yum.Filter{Exclude: []string{"alpha", "beta*"}}, "mod-3.0-1 mod-4.0-1 mod-5.0-1"},
		"newest, but for modules": {yum.Filter{KeepLatest: 1, Exclude: []string{"beta*"}}, "alpha-1.10^git2-1 mod-3.0-1 mod-4.0-1 mod-5.0-1"},
		"newest two":              {yum.Filter{KeepLatest: 2, Packages: []string{"alpha"}}, "alpha-1.10-1 alpha-1.10^git2-1"},
		"no sources or debuginfo": {yum.Filter{LeaveSources: true, LeaveDebuginfo: true, Packages: []string{"beta*"}}, "beta-2-1"},
		"nothing":                 {yum.Filter{Packages: []string{"gamma"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *yum.Config) { c.Filter = tt.filter })
			s.publish("os", stock(1))
			s.must()
			var got []string
			for _, f := range s.b.Files() {
				if name, ok := strings.CutSuffix(filepath.Base(f), ".rpm"); ok {
					got = append(got, strings.TrimSuffix(name, ".noarch"))
				}
			}
			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
			s.metadata(len(got))
			s.still()
			before := s.b.Read(repomd)
			s.publish("os", stock(2))
			s.must()
			if after := s.b.Read(repomd); strings.Count(after, "<data ") != strings.Count(before, "<data ") {
				t.Errorf("another number of data files: %s", after)
			}
		})
	}
}

// metadata checks the metadata of a filtered repository of n packages.
func (s *site) metadata(n int) {
	s.t.Helper()
	md, err := rpmrepo.ParseRepomd([]byte(s.b.Read(repomd)))
	if err != nil {
		s.t.Fatal(err)
	}
	var types []string
	var orders [2][]string
	for _, d := range md.Data {
		types = append(types, d.Type)
		data := s.b.Read("os/" + d.Href)
		if digest([]byte(data)) != d.Checksum.Hex {
			s.t.Errorf("%s has another checksum", d.Href)
		}
		if i := slices.Index([]string{"primary", "filelists"}, d.Type); i >= 0 {
			orders[i] = s.ids(d.Href, data)
		} else if s.files["os/"+d.Href] == nil {
			s.t.Errorf("%s is not upstream's", d.Href)
		}
	}
	if want := []string{"primary", "filelists", "group", "modules", "updateinfo", "x-vendor"}; !slices.Equal(types, want) {
		s.t.Errorf("data %v, want %v", types, want)
	}
	if len(orders[0]) != n || !slices.Equal(orders[0], orders[1]) {
		s.t.Errorf("%d packages, in the orders %v", n, orders)
	}
}

func (s *site) ids(name, data string) (out []string) {
	s.t.Helper()
	plain, err := debrepo.Decompress(name, strings.NewReader(data), 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	split, err := rpmrepo.NewSplit(plain, "package")
	if err != nil {
		s.t.Fatal(err)
	}
	for {
		element, err := split.Next()
		if err != nil {
			return out
		}
		id := rpmrepo.Attr(element, "pkgid")
		if id == "" { // primary
			_, rest, _ := strings.Cut(string(element), `pkgid="YES">`)
			id, _, _ = strings.Cut(rest, "<")
		}
		out = append(out, id)
	}
}

// TestFilterOrder: filelists in another order than the primary are brought into its order.
func TestFilterOrder(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Filter = yum.Filter{Exclude: []string{"beta*"}} })
	r := stock(1)
	r.Filelists = func(text string) string {
		lines := strings.SplitAfter(text, "\n")
		slices.Reverse(lines[2 : len(lines)-2])
		return strings.Join(lines, "")
	}
	s.publish("os", r)
	s.must()
	s.metadata(7)
}

// TestFilterChanges: another filter is applied to what is there, and the proof of packages is asked for.
func TestFilterChanges(t *testing.T) {
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	s.must()
	s.cfg.Filter.Exclude = []string{"beta"}
	if r := s.must(); r.Info.Drops != 1 {
		t.Errorf("%+v", r.Info)
	}
	if slices.Contains(s.b.Files(), repomd+".asc") {
		t.Error("upstream's signature lies beside a repomd.xml that it does not sign")
	}
	s.still()
	bad := slices.Clone(good)
	bad[0].Unsigned, bad[0].Content = true, "other"
	bad[0].Version = "7"
	s.publish("os", signedRepo(bad, 2))
	s.refused(s.cycle(), fault.Unproved, "1 packages are not proved")
}

// TestFilterDnf has real dnf read and install what a filter left of real createrepo_c's metadata.
func TestFilterDnf(t *testing.T) {
	for _, tool := range []string{"dnf", "createrepo_c", "rpm"} {
		_, err := exec.LookPath(tool)
		need.That(t, err == nil, tool)
	}
	s := newSite(t, func(c *yum.Config) { c.Filter = yum.Filter{Exclude: []string{"beta"}, KeepLatest: 1} })
	createrepo(t, s, append(slices.Clone(good), p("alpha", "1.2"), p("alpha", "1.10")))
	s.must()
	region := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(s.b.Dir, "tree"))))
	t.Cleanup(region.Close)
	d := newDnf(t, region.URL+"/os", s.cfg.Keyring)
	out, err := d.run("-q", "repoquery", "--qf", "%{name}-%{version}", "--repoid=region")
	if want := "alpha-1.10\ngamma++-1.0^git1\n"; err != nil || !strings.HasSuffix(out, want) {
		t.Errorf("dnf sees %q, %v", out, err)
	}
	if out, err := d.run("-q", "repoquery", "--repoid=region", "--file", "/opt/alpha/content"); err != nil || !strings.Contains(out, "alpha-0:1.10-1") {
		t.Errorf("dnf finds a file in %q, %v", out, err)
	}
	if out, err := d.run("install", "alpha", "gamma++"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := d.run("install", "beta"); err == nil {
		t.Errorf("dnf installed what was left out:\n%s", out)
	}
}
