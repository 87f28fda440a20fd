package activities_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// TestPermit has messages ask for one thing more than the worker allows.
func TestPermit(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	permit := activities.Permit{Dirs: []string{dir}, Roots: []string{"/srv/roots"}, Files: []string{"/etc/mirrorcycle", "/usr/share/keyrings/a.gpg"}, Sandbox: []string{mirrorspec.Bubblewrap}}
	good := func() *activities.RequireInput {
		return &activities.RequireInput{Target: activities.Target{Storage: mirrorspec.Storage{Root: dir + "/trees", State: dir + "/state"},
			Mirror: mirrorspec.Mirror{Kind: mirrorspec.Wheels, Keyring: "/usr/share/keyrings/a.gpg", Constraints: "https://example.org/c", Sandbox: mirrorspec.Bubblewrap,
				Platforms: []mirrorspec.Platform{{Root: "/srv/roots/debian-12"}}}}}
	}
	for name, tt := range map[string]struct {
		change func(*activities.RequireInput)
		flag   string // "" is allowed
	}{
		"what is allowed":       {func(*activities.RequireInput) {}, ""},
		"storage":               {func(in *activities.RequireInput) { in.Target.Storage.Root = "/etc" }, "--dirs"},
		"a name that begins so": {func(in *activities.RequireInput) { in.Target.Storage.State = dir + "x" }, "--dirs"},
		"a way out":             {func(in *activities.RequireInput) { in.Target.Storage.State = dir + "/../../etc" }, "--dirs"},
		"a link out":            {func(in *activities.RequireInput) { in.Target.Storage.State = link + "/cron.d" }, "--dirs"},
		"platform":              {func(in *activities.RequireInput) { in.Target.Mirror.Platforms[0].Root = "/" }, "--roots"},
		"keyring":               {func(in *activities.RequireInput) { in.Target.Mirror.Keyring = "/root/.ssh/id_rsa" }, "--files"},
		"netrc":                 {func(in *activities.RequireInput) { in.Target.Mirror.Netrc = "/usr/share/keyrings/b" }, "--files"},
		"constraints":           {func(in *activities.RequireInput) { in.Target.Mirror.Constraints = "/etc/shadow" }, "--files"},
		"requirements":          {func(in *activities.RequireInput) { in.Target.Mirror.Requirements = []string{"index", "/etc/shadow"} }, "--files"},
		"sandbox":               {func(in *activities.RequireInput) { in.Target.Mirror.Sandbox = mirrorspec.NoSandbox }, "--sandbox"},
		"index mirror":          {func(in *activities.RequireInput) { in.Target.Index = &mirrorspec.Mirror{CAFile: "/etc/shadow"} }, "--files"},
		"cell":                  {func(in *activities.RequireInput) { in.Target.AFS = &mirrorspec.AFS{WriteKeytab: "/etc/krb5.keytab"} }, "--files"},
	} {
		in := good()
		tt.change(in)
		err := permit.Check(*in)
		kind, text := "", ""
		if err != nil {
			kind, text = activities.FaultOf(err)
		}
		if want := map[bool]string{true: "denied"}[tt.flag != ""]; kind != want || !strings.Contains(text, tt.flag) {
			t.Errorf("%s: %v", name, err)
		}
		if err := activities.Anything().Check(*in); err != nil {
			t.Errorf("%s, where anything is allowed: %v", name, err)
		}
		if err := (activities.Permit{}).Check(*in); err == nil {
			t.Errorf("%s, where nothing is allowed", name)
		}
	}
	for _, message := range []any{activities.SiteInput{Region: mirrorspec.Region{Dir: dir, Site: "/etc/cron.d"}}, activities.OpenInput{Target: good().Target, Regions: []mirrorspec.Region{{Dir: "/etc"}}}, nil, 7} {
		if err := permit.Check(message); (err == nil) != (message == nil || message == 7) {
			t.Errorf("%+v: %v", message, err)
		}
	}
}

// TestPermitOfASpec: everything that a spec names, and nothing beside it.
func TestPermitOfASpec(t *testing.T) {
	spec, err := mirrorspec.Load("../mirrorspec/testdata/everything.toml")
	if err != nil {
		t.Fatal(err)
	}
	permit := activities.PermitOf(spec)
	if err := permit.Check(*spec); err != nil {
		t.Error(err)
	}
	spec.Storage.Root = "/etc"
	if err := permit.Check(*spec); err == nil {
		t.Error("another storage is allowed")
	}
}
