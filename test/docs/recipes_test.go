package docs_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
)

// accidents are what the recipes of docs/operations.md repair, by name, as
// scripts of what happened before an operator looks it up.
var accidents = map[string]string{
	"tree-lost":  "rm -r /srv/mirror/trees/debian",
	"state-lost": "rm -r /srv/mirror/state/debian",
	"tree-older": `rm -r /srv/mirror/trees /srv/mirror/state; cp -a saved/trees /srv/mirror/trees; cp -a saved/state /srv/mirror/state
if starter run; then exit 9; fi`,
	"tree-moved":     "mkdir /srv/new",
	"region-lost":    "rm -r /srv/mirror/dfw",
	"region-damaged": "rm /srv/mirror/dfw/debian/.mirror/generation.json; if starter run; then exit 9; fi",
	"region-older":   "rm -r /srv/mirror/dfw; cp -a saved/regions/dfw /srv/mirror/dfw",
	"region-moved":   "mkdir /srv/new",
	"region-renamed": "true",
	"mirror-renamed": "true",
	"mirror-removed": `awk '/^\[\[mirror/ { getline name; on = name !~ /"debian"/; if (on) print; $0 = name } /^\[(cycle|storage|\[region)/ { on = 1 } on' mirrors.toml > new; mv new mirrors.toml`,
}

// TestRecipes lets each accident happen to mirrors that had two generations,
// follows the recipe to the letter, and has clients install from both regions.
func TestRecipes(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range blocks(t, "docs/operations.md") {
		name, ok := strings.CutPrefix(b.info, "sh run recipe ")
		if !ok {
			continue
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) { follow(t, name, b.text) })
	}
	for name := range accidents {
		if !seen[name] {
			t.Errorf("there is no recipe for %s", name)
		}
	}
	if len(seen) != len(accidents) {
		t.Errorf("%d recipes, %d accidents", len(seen), len(accidents))
	}
}

func follow(t *testing.T, name, recipe string) {
	p := newPlace(t)
	p.work(t)
	p.run(t, "mkdir saved; cp -a trees state regions saved")
	p.up.Debs(lab.Deb("alpha", "1"), lab.Deb("beta", "1"))
	p.up.Project("nova", "1.0", "2.0")
	p.run(t, "starter run")
	p.run(t, accidents[name])
	if name == "region-moved" {
		p.house.Regions["dfw"].Serve(filepath.Join(p.dir, "new", "dfw"))
	}
	p.up.Hits()
	p.run(t, recipe)
	if name != "tree-older" { // what came after the backup is not there
		p.downloadsNothing(t)
	}
	p.run(t, "starter status")
	debian := "debian"
	switch name {
	case "mirror-renamed":
		debian = "debian-12"
	case "mirror-removed":
		debian = ""
	}
	for region := range p.house.Regions {
		p.install(t, region, debian)
		if got := p.house.Status(region, "/debian/dists/stable/InRelease"); debian == "" && got != http.StatusNotFound {
			t.Errorf("%s answers %d for the mirror that was removed", region, got)
		}
	}
}

// downloadsNothing wants no package to be downloaded again that was still there.
func (p *place) downloadsNothing(t *testing.T) {
	t.Helper()
	for path, n := range p.up.Hits() {
		if strings.HasSuffix(path, ".deb") || strings.HasSuffix(path, ".whl") {
			t.Errorf("%s was downloaded %d times", path, n)
		}
	}
}

// install has apt and pip get what a region promises; debian is the name of the apt mirror, "" for none.
func (p *place) install(t *testing.T, region, debian string) {
	t.Helper()
	url := p.house.Regions[region].URL
	p.run(t, fmt.Sprintf("python3 -m pip download --no-cache-dir --no-deps --index-url %s/pypi/simple/ --dest %s nova==2.0", url, t.TempDir()))
	if debian == "" {
		return
	}
	const script = `cd %s
mkdir -p state/lists/partial cache/archives/partial log etc/sources.list.d etc/apt.conf.d etc/preferences.d etc/trusted.gpg.d
touch status
echo 'deb [signed-by=%s] %s/%s stable main' > etc/sources.list.d/mirror.list
for k in "" ::State ::Cache ::Log ::Etc; do n=${k#::}; echo "Dir$k \"$PWD/${n,,}\";"; done > apt.conf
cat >> apt.conf <<END
Dir::State::status "$PWD/status";
APT { Sandbox::User "root"; Architecture "amd64"; Architectures { "amd64"; }; Update::Error-Mode "any"; };
Acquire { http::Proxy "false"; Languages "none"; };
END
export APT_CONFIG=$PWD/apt.conf
apt-get update
apt-get download beta=1`
	p.run(t, fmt.Sprintf(script, t.TempDir(), p.up.Keyring, url, debian))
}
