package mirrorspec_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// The golden JSON is what recorded histories hold: a field that vanishes from it
// or changes its name breaks running workflows.
func TestSpecsAsWorkflowInput(t *testing.T) {
	for _, name := range []string{"design", "everything", "least"} {
		t.Run(name, func(t *testing.T) {
			spec, err := mirrorspec.Load(filepath.Join("testdata", name+".toml"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(spec, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(got, '\n'))
			var again mirrorspec.Spec
			if err := json.Unmarshal(got, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*spec, again); diff != "" {
				t.Errorf("JSON loses something (-parsed +read back):\n%s", diff)
			}
		})
	}
}

func TestAllFaultsComeInOneGo(t *testing.T) {
	_, err := mirrorspec.Load(filepath.Join("testdata", "faults.toml"))
	if err == nil {
		t.Fatal("no faults")
	}
	if !errors.Is(err, fault.Config) {
		t.Errorf("%T is not of kind config", err)
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 15 {
		t.Errorf("%d lines, want 15", n)
	}
	golden(t, "faults.txt", []byte(err.Error()+"\n"))
}

func TestMissingFileIsAConfigError(t *testing.T) {
	_, err := mirrorspec.Load(filepath.Join(t.TempDir(), "mirrors.toml"))
	if !errors.Is(err, fault.Config) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

// valid is a small right spec that single lines are changed in.
const valid = `[cycle]
name = "openstack"
[storage]
name = "main"
root = "/srv/trees"
[[region]]
name = "dfw"
dir = "/srv/dfw"
url = "http://mirror.dfw.example.org"
[[mirror]]
name = "ubuntu"
kind = "apt"
upstream = ["http://archive.example.org/ubuntu"]
suites = ["noble"]
components = ["main"]
architectures = ["amd64"]
keyring = "/usr/share/keyrings/example.gpg"
[[mirror]]
name = "rocky"
kind = "yum"
upstream = ["http://rocky.example.org/"]
keyring = "/usr/share/keyrings/rocky.asc"
[[mirror]]
name = "pypi"
kind = "pypi"
upstream = ["https://index.example.org"]
projects = ["nova"]
[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = "/etc/requirements.txt"
platforms = [{ name = "debian", root = "/srv/roots/debian", python = "3.11" }]
`

// change replaces the first occurrence of old; "" appends.
func change(t *testing.T, old, with string) string {
	t.Helper()
	if old == "" {
		return valid + with
	}
	if !strings.Contains(valid, old) {
		t.Fatalf("the valid spec does not hold %q", old)
	}
	return strings.Replace(valid, old, with, 1)
}

func TestSingleFaults(t *testing.T) {
	const longName = "a23456789012345678901234567890123456789012345678901234567890abcd" // 64
	afs := `afs = { server = "fs1.example.org", partition = "a" }`
	cell := "[afs]\ncell = \"example.org\"\nwrite-principal = \"service/mirror\"\nwrite-keytab = \"/etc/k\"\n"
	for _, c := range []struct{ name, old, with, want string }{
		{"syntax", `name = "openstack"`, `name = openstack`, `2:8: not TOML: unexpected character U+006F 'o' at start of value`},
		{"syntax at the end", "", "x = ", `34:4: not TOML: expected value, not end of input`},
		{"value the decoder refuses", "", "[limits]\ndownloads = 99999999999999999999\n", `35:13: limits.downloads: is a number or date, not an integer, write a whole number such as 16`},
		{"more than a payload", "", strings.Repeat("#", 1<<20), "1:1: 1049316 bytes are more than 1048576, make several specs of it"},
		{"tables without end", "", strings.Repeat("[[region]]\n", 301), "6:3: region: 302 tables are more than 300, make several specs of it"},
		{"key twice", `name = "main"`, "name = \"main\"\nname = \"other\"", `5:1: name: already defined as a string on line 4, remove one of the two`},
		{"table twice", "[[region]]", "[storage]\n[[region]]", `6:2: storage: already defined as a table on line 3, remove one of the two`},
		{"single brackets", "[[region]]", "[region]", `6:2: region: is a table, not a list, write [[region]]`},
		{"double brackets", "[storage]", "[[storage]]", `3:3: storage: is a list, not a table, write [storage]`},
		{"unknown table", "[[region]]", "[[regions]]", `6:3: regions: unknown key, did you mean "region"?`},
		{"odd key", "[storage]", "\"a\\nb.c\" = 1\n[storage]", `3:1: cycle."a\nb.c": unknown key, did you mean "name"?`},
		{"no cycle", "[cycle]\nname = \"openstack\"\n", "", `1:1: cycle: is missing, write a [cycle] table with its name`},
		{"no name", `name = "openstack"`, "", `1:2: cycle.name: is missing, write name = "openstack"`},
		{"empty string", `name = "openstack"`, `name = ""`, `2:8: cycle.name: is empty, write name = "openstack" or leave the key out`},
		{"capitals in a name", `name = "main"`, `name = "Main"`, `4:8: storage.name: "Main" is not a name, write lower-case letters, digits, '.' and '-', beginning with a letter or digit`},
		{"dots as a name", `name = "ubuntu"`, `name = ".."`, `11:8: mirror.name: ".." is not a name, write lower-case letters, digits, '.' and '-', beginning with a letter or digit`},
		{"slash in a name", `name = "ubuntu"`, `name = "a/b"`, `11:8: mirror.name: "a/b" is not a name, write lower-case letters, digits, '.' and '-', beginning with a letter or digit`},
		{"long name", `name = "ubuntu"`, `name = "` + longName + `"`, `11:8: mirror.name: "` + longName + `" is longer than 63 characters, write a shorter name`},
		{"name of an AFS snapshot", `name = "ubuntu"`, `name = "u.readonly"`, `11:8: mirror.name: "u.readonly" ends like an AFS snapshot, write a name without .readonly or .backup`},
		{"platform name", `name = "debian"`, `name = "Debian"`, `33:23: mirror.platforms.name: "Debian" is not a platform name, write lower-case letters, digits, '.', '-' and '_', such as "debian-12-x86_64"`},
		{"mirror twice", `name = "rocky"`, `name = "ubuntu"`, `19:8: mirror.name: "ubuntu" is taken on line 11, write another name`},
		{"cron and every", "[storage]", "every = \"2h\"\ncron = \"0 * * * *\"\n[storage]", `4:8: cycle.cron: stands beside every, write one of the two`},
		{"cron of four fields", "[storage]", "cron = \"0 * * *\"\n[storage]", `3:8: cycle.cron: "0 * * *" is not a cron expression, write five fields such as "0 */2 * * *"`},
		{"unknown time zone", "[storage]", "cron = \"@daily\"\ntime-zone = \"Mars\"\n[storage]", `4:13: cycle.time-zone: "Mars" is not a time zone, write one like "Europe/Berlin" or "UTC"`},
		{"jitter above every", "[storage]", "jitter = \"3h\"\n[storage]", `3:10: cycle.jitter: 3h is not below every (2h), write a shorter one`},
		{"catch-up below the minimum", "[storage]", "catch-up = \"5s\"\n[storage]", `3:12: cycle.catch-up: 5s is below the server's minimum, write at least "10s"`},
		{"duration without unit", "[storage]", "mirror-wait = \"5\"\n[storage]", `3:15: cycle.mirror-wait: "5" is not a duration, write a duration such as "90m", "72h" or "3d"`},
		{"size without unit", "[[region]]", "min-free = \"10\"\n[[region]]", `6:12: storage.min-free: "10" is not a size, write a size such as "10GB" or "512MiB"`},
		{"rate without time", "[[region]]", "[limits]\nrate = \"10MB\"\n[[region]]", `7:8: limits.rate: "10MB" is not a rate, write a rate such as "50MB/s"`},
		{"count out of range", "[[region]]", "[limits]\ndownloads = 0\n[[region]]", `7:13: limits.downloads: 0 is out of range, write a number from 1 to 1000000000`},
		{"share above the whole", `kind = "apt"`, "kind = \"apt\"\nguard.share = \"101%\"", `13:15: mirror.guard.share: share "101%" is above 100%, write a share from "0%" to "100%"`},
		{"unknown key of a guard", `kind = "apt"`, "kind = \"apt\"\nguard = { cuont = 7 }", `13:11: mirror.guard.cuont: unknown key, did you mean "count"?`},
		{"relative directory", `root = "/srv/trees"`, `root = "trees"`, `5:8: storage.root: "trees" is not absolute, write a path that begins with "/"`},
		{"unclean directory", `root = "/srv/trees"`, `root = "/srv/../trees"`, `5:8: storage.root: "/srv/../trees" is not a clean path, write "/trees"`},
		{"region inside the trees", `dir = "/srv/dfw"`, `dir = "/srv/trees/dfw"`, `8:7: region.dir: "/srv/trees/dfw" and storage.root "/srv/trees" are inside one another, write a directory beside it`},
		{"trees inside a region", `dir = "/srv/dfw"`, `dir = "/srv"`, `8:7: region.dir: "/srv" and storage.root "/srv/trees" are inside one another, write a directory beside it`},
		{"state inside the trees", "[[region]]", "state = \"/srv/trees/state\"\n[[region]]", `6:9: storage.state: "/srv/trees/state" and storage.root "/srv/trees" are inside one another, write a directory beside it`},
		{"site inside the region", "[[region]]", "[[region]]\nsite = \"/srv/dfw/site\"", `7:8: region.site: "/srv/dfw/site" and region.dir "/srv/dfw" are inside one another, write a directory beside it`},
		{"stale for a year", "[[region]]", "[[region]]\nstale-after = \"365d\"", `7:15: region.stale-after: 365d is out of range, write a duration from "1m" to "14d"`},
		{"name of the status page's", `name = "ubuntu"`, `name = "config"`, `11:8: mirror.name: "config" is a path of every region's status page, write another name`},
		{"no place for a region", `dir = "/srv/dfw"`, "", `6:3: region.dir: is missing, write dir = "/srv/mirror/dfw" or afs = { server = …, partition = … }`},
		{"two places for a region", `dir = "/srv/dfw"`, "dir = \"/srv/dfw\"\n" + afs, `9:7: region.afs: stands beside dir, write one of the two`},
		{"AFS region without a cell", `dir = "/srv/dfw"`, afs, `8:7: region.afs: needs the cell, write an [afs] table with cell = "example.org"`},
		{"origin over http", `name = "main"`, "name = \"main\"\nurl = \"http://origin.example.org\"", `5:7: storage.url: "http://origin.example.org" is not https, and what regions pull proves itself by nothing else, write https://, or http:// for a loopback or private address or a name without dots`},
		{"pull without origin", `dir = "/srv/dfw"`, "dir = \"/srv/dfw\"\npull = true", `9:8: region.pull: there is nothing to pull from, write url = "https://origin.example.org" in [storage]`},
		{"other scheme", `url = "http://mirror.dfw.example.org"`, `url = "ftp://mirror.dfw.example.org"`, `9:7: region.url: "ftp://mirror.dfw.example.org" is not an absolute http or https URL, write one like "https://mirror.example.org/path"`},
		{"URL with query", `url = "http://mirror.dfw.example.org"`, `url = "http://mirror.dfw.example.org/?a"`, `9:7: region.url: has a query or fragment, which may hold a secret, write the URL without it`},
		{"URL without scheme", `url = "http://mirror.dfw.example.org"`, `url = "user:password@mirror.dfw.example.org"`, `9:7: region.url: is not an absolute http or https URL, write one like "https://mirror.example.org/path"`},
		{"URL with password", `["https://index.example.org"]`, `["https://u:hunter2@index.example.org"]`, `26:13: mirror.upstream: holds credentials, and no secret stands in a spec, put them into a netrc file and write netrc = its path`},
		{"unreadable URL with password", `["https://index.example.org"]`, `["https://u:hunter2@index.example.org:port"]`, `26:13: mirror.upstream: is not a URL, write one like "https://mirror.example.org/path"`},
		{"unknown kind", `kind = "yum"`, `kind = "rpm"`, `20:8: mirror.kind: unknown value "rpm", did you mean "apt"? (one of: apt, yum, pypi, wheels)`},
		{"key of another kind", `projects = ["nova"]`, "projects = [\"nova\"]\nsuites = [\"noble\"]", `28:1: mirror.suites: has no meaning for kind "pypi", only for apt, remove it`},
		{"no upstream", `upstream = ["https://index.example.org"]`, "", `23:3: mirror.upstream: is missing, write upstream = ["https://upstream.example.org/path"]`},
		{"no keyring for apt", `keyring = "/usr/share/keyrings/example.gpg"`, "", `10:3: mirror.keyring: is missing, write keyring = "/usr/share/keyrings/example.gpg"`},
		{"variable without value", `kind = "yum"`, "kind = \"yum\"\nrepos = [\"$basearch/os\"]", `18:3: mirror.architectures: is missing: $basearch stands for it, write architectures = ["x86_64"]`},
		{"metalink beside upstream", `kind = "yum"`, "kind = \"yum\"\nmetalink = \"https://e.example.org/m\"", `21:12: mirror.metalink: stands beside upstream, write one of the two`},
		{"unknown proof", `kind = "yum"`, "kind = \"yum\"\nproof = \"all\"", `21:9: mirror.proof: unknown value "all", did you mean "both"? (one of: repomd, packages, both, none)`},
		{"keyring that proves nothing", `kind = "yum"`, "kind = \"yum\"\nproof = \"none\"", `23:11: mirror.keyring: has no meaning with proof = "none", remove one of the two`},
		{"no keyring for yum", `keyring = "/usr/share/keyrings/rocky.asc"`, "", `18:3: mirror.keyring: is missing, write keyring = "/usr/share/keyrings/example.gpg"`},
		{"relative keyring", `"/usr/share/keyrings/rocky.asc"`, `"rocky.asc"`, `22:11: mirror.keyring: "rocky.asc" is not absolute, write a path that begins with "/"`},
		{"suite out of the tree", `["noble"]`, `["../noble"]`, `14:11: mirror.suites: "../noble" is not a plain relative path, write one like "noble" or "dists/main", without ".." and spaces`},
		{"suite of ours", `["noble"]`, `[".mirror/x"]`, `14:11: mirror.suites: ".mirror" belongs to MirrorCycle, write another path`},
		{"suite twice", `["noble"]`, `["noble", "noble"]`, `14:20: mirror.suites: "noble" is listed twice, remove one of the two`},
		{"list of numbers", `["noble"]`, `[7]`, `14:11: mirror.suites: holds an integer, not a string or a table, write "noble" or { name = "noble-backports", components = ["main"] }`},
		{"suite without components", `["noble"]`, `["noble", { name = "extra" }]`, `14:20: mirror.suites.components: is missing, write components = ["main"]`},
		{"suite without a name", `["noble"]`, `["noble", { components = ["main"] }]`, `14:20: mirror.suites.name: is missing, write name = "noble-backports"`},
		{"suite in both forms", `["noble"]`, `["noble", { name = "noble", components = ["main"] }]`, `14:20: mirror.suites: "noble" is listed twice, remove one of the two`},
		{"key of a suite", `["noble"]`, `["noble", { name = "x", components = ["main"], component = "y" }]`, `14:57: mirror.suites.component: unknown key, did you mean "components"?`},
		{"unknown kind of index", `["noble"]`, "[\"noble\"]\nindexes = [\"dep-11\"]", `15:12: mirror.indexes: unknown value "dep-11", did you mean "dep11"? (one of: all, packages, translations, contents, dep11, cnf, other, sources, udebs, installer, pdiffs)`},
		{"empty list", `["noble"]`, `[]`, `14:10: mirror.suites: is empty, write suites = ["noble"] or leave the key out`},
		{"string for a list", `["noble"]`, `"noble"`, `14:10: mirror.suites: is a string, not a list, write suites = ["noble"]`},
		{"no components", `components = ["main"]`, "", `10:3: mirror.components: is missing, write components = ["main"]`},
		{"conflict policy", `kind = "apt"`, "kind = \"apt\"\non-conflict = \"replce\"", `13:15: mirror.on-conflict: unknown value "replce", did you mean "replace"? (one of: refuse, replace)`},
		{"unknown region", `kind = "apt"`, "kind = \"apt\"\nregions = [\"dfv\"]", `13:12: mirror.regions: there is no region "dfv", did you mean "dfw"?`},
		{"grace too short", `kind = "apt"`, "kind = \"apt\"\ngrace = \"9m\"", `13:9: mirror.grace: 9m is shorter than index-max-age 10m of region "dfw", write at least "10m"`},
		{"default grace too short", `dir = "/srv/dfw"`, "dir = \"/srv/dfw\"\nindex-max-age = \"25h\"", "24:3: mirror.grace: 1d is shorter than index-max-age 1d1h of region \"dfw\", write at least \"1d1h\"\n" +
			`f:29:3: mirror.grace: 1d is shorter than index-max-age 1d1h of region "dfw", write at least "1d1h"`},
		{"project with version", `["nova"]`, `["nova==1.0"]`, `27:13: mirror.projects: "nova==1.0" is not a project name or glob, write one like "nova" or "oslo-*"; versions belong in a requirements file`},
		{"project twice", `["nova"]`, `["oslo.db", "Oslo_DB"]`, `27:24: mirror.projects: "Oslo_DB" is the same project as "oslo.db", remove one of the two`},
		{"no projects", `projects = ["nova"]`, "", `23:3: mirror.projects: is missing, write projects = ["nova", "oslo-*"], or ["*"] for all, or requirements`},
		{"requirements from nowhere", `projects = ["nova"]`, `requirements = ["weels"]`, `27:17: mirror.requirements: "weels" is neither an absolute path nor a wheels mirror of this spec, write one like "/etc/mirror/requirements.txt"`},
		{"unknown index", `index = "pypi"`, `index = "pipy"`, `31:9: mirror.index: there is no pypi mirror "pipy", did you mean "pypi"?`},
		{"index of another kind", `index = "pypi"`, `index = "rocky"`, `31:9: mirror.index: there is no pypi mirror "rocky", did you mean "pypi"?`},
		{"no requirements", `file = "/etc/requirements.txt"`, "", `28:3: mirror.github: is missing, write github = "openstack/requirements", or file, or url`},
		{"two requirements", `file = "/etc/requirements.txt"`, "file = \"/etc/r\"\nurl = \"http://example.org/r\"", `33:7: mirror.url: stands beside file, write one of the two`},
		{"refs without github", `file = "/etc/requirements.txt"`, "file = \"/etc/r\"\nrefs = [\"master\"]", `33:8: mirror.refs: has no meaning without github, remove it`},
		{"no platforms", `platforms = [{ name = "debian", root = "/srv/roots/debian", python = "3.11" }]`, "", `28:3: mirror.platforms: is missing, write platforms = [{ name = "debian-12-x86_64", root = "/srv/roots/debian-12", python = "3.11" }]`},
		{"sandbox", `file = "/etc/requirements.txt"`, "file = \"/etc/requirements.txt\"\nsandbox = \"chroot\"", `33:11: mirror.sandbox: unknown value "chroot", did you mean "none"? (one of: bubblewrap, none)`},
		{"no root but the machine's, in a sandbox", `root = "/srv/roots/debian"`, `root = "/"`, `33:40: mirror.platforms.root: is the root of the file system, write a directory of its own`},
		{"build memory", `file = "/etc/requirements.txt"`, "file = \"/etc/requirements.txt\"\nbuild-memory = \"1MB\"", `33:16: mirror.build-memory: 1MB is too little for any build, write at least "64MB"`},
		{"build timeout", `file = "/etc/requirements.txt"`, "file = \"/etc/requirements.txt\"\nbuild-timeout = \"0s\"", `33:17: mirror.build-timeout: is zero, write a duration such as "30m"`},
		{"build timeout that no clock can hold", `file = "/etc/requirements.txt"`, "file = \"/etc/requirements.txt\"\nbuild-timeout = \"106751d\"", `33:17: mirror.build-timeout: 106751d is out of range, write a duration of at most "36500d"`},
		{"grace that overflows with index-max-age", `file = "/etc/requirements.txt"`, "file = \"/etc/requirements.txt\"\ngrace = \"106751d\"", `33:9: mirror.grace: 106751d is out of range, write a duration of at most "36500d"`},
		{"python version", `python = "3.11"`, `python = "3"`, `33:70: mirror.platforms.python: "3" is not a Python version, write one like "3.11"`},
		{"number for a string", `python = "3.11"`, `python = 3.11`, `33:70: mirror.platforms.python: is a number or date, not a string, write python = "3.11"`},
		{"cell without keytab", "", "[[region]]\nname = \"afs\"\nurl = \"http://afs.example.org\"\n" + afs + "\n[afs]\ncell = \"example.org\"\nwrite-principal = \"service/mirror\"\n", `38:2: afs.write-keytab: is missing with auth = "keytab", write write-keytab = "/etc/mirror.keytab"`},
		{"release without keytab", "", "[[region]]\nname = \"afs\"\nurl = \"http://afs.example.org\"\n" + afs + "\n" + cell + "release-principal = \"service/release\"\n", `38:2: afs.release-keytab: is missing with auth = "keytab", write release-keytab = "/etc/release.keytab"`},
		{"certificate without key", `kind = "yum"`, "kind = \"yum\"\nclient-cert = \"/etc/c.pem\"", `18:3: mirror.client-key: is missing, write client-key = "/etc/mirror/client.key" beside client-cert`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := mirrorspec.Parse("f", []byte(change(t, c.old, c.with)))
			if diff := cmp.Diff("f:"+c.want, faults.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsJustRight(t *testing.T) {
	pulling := func(name string) string {
		return fmt.Sprintf("[[region]]\nname = %q\nurl = \"http://a.example.org\"\ndir = \"/srv/trees\"\npull = true\n", name)
	}
	for _, c := range []struct{ name, old, with string }{
		{"grace as long as the index lives", `kind = "apt"`, "kind = \"apt\"\ngrace = \"10m\""},
		{"pulling regions have hosts of their own", "[[region]]",
			"url = \"https://origin.example.org\"\n" + pulling("a") + pulling("b") + "[[region]]"},
		{"directories beside one another", `dir = "/srv/dfw"`, `dir = "/srv/trees-dfw"`},
		{"flat suites need no components", "suites = [\"noble\"]\ncomponents = [\"main\"]", `suites = ["./", "flat/"]`},
		{"all projects", `["nova"]`, `["*"]`},
		{"a wheels mirror as requirements", `projects = ["nova"]`, `requirements = ["wheels"]`},
		{"dotted keys", `kind = "apt"`, "kind = \"apt\"\nguard.count = 7\nguard.share = \"1%\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, faults := mirrorspec.Parse("f", []byte(change(t, c.old, c.with))); faults != nil {
				t.Error(faults)
			}
		})
	}
}

func TestNoTranslationsAtAll(t *testing.T) {
	text := change(t, `kind = "apt"`, "kind = \"apt\"\ntranslations = []")
	spec, faults := mirrorspec.Parse("f", []byte(text))
	if faults != nil {
		t.Fatal(faults)
	}
	if got := spec.Mirrors[0].Translations; got != nil {
		t.Errorf("translations = %q", got)
	}
}

func TestAFSVolumeNamesFit(t *testing.T) {
	spec := func(mirror string) []byte {
		return fmt.Appendf(nil, `[cycle]
name = "c"
[storage]
name = "main"
root = "/afs/.example.org/mirror"
[[region]]
name = "dfw"
afs = { server = "afs01.example.org", partition = "a" }
url = "http://mirror.example.org"
[[mirror]]
name = %q
kind = "pypi"
upstream = ["https://index.example.org"]
projects = ["*"]
[afs]
cell = "example.org"
auth = "localauth"
`, mirror)
	}
	if _, faults := mirrorspec.Parse("f", spec("fifteen-letters")); faults != nil {
		t.Errorf("22 characters with the prefix: %v", faults)
	}
	_, faults := mirrorspec.Parse("f", spec("sixteen-letters."))
	want := `f:11:8: mirror.name: volume "mirror.sixteen-letters." is longer than the 22 characters of AFS, write at most 15 characters or a shorter afs.volume-prefix`
	if diff := cmp.Diff(want, faults.Error()); diff != "" {
		t.Errorf("23 characters (-want +got):\n%s", diff)
	}
}

// TestVolumesOfAMirror: each is a name of its own in the cell, and has no meaning without one.
func TestVolumesOfAMirror(t *testing.T) {
	spec := func(region, volumes string) []byte {
		return fmt.Appendf(nil, `[cycle]
name = "c"
[storage]
name = "main"
root = "/afs/.example.org/mirror"
[[region]]
name = "one"
%s
url = "http://one.example.org"
[[mirror]]
name = "debian"
kind = "pypi"
upstream = ["http://index.example.org"]
projects = ["a"]
volumes = %s
[afs]
cell = "example.org"
auth = "localauth"
`, region, volumes)
	}
	const site, dir = `afs = { server = "afs01.example.org", partition = "a" }`, `dir = "/srv/one"`
	for _, c := range []struct{ region, volumes, want string }{
		{site, `["pool", "dists/"]`, ""},
		{site, `["pool/main", "other/main"]`, `mirror.volumes: volume "mirror.debian.main" would hold two directories`},
		{site, `["packages-all"]`, `mirror.volumes: volume "mirror.debian.packages-all" is longer than the 22 characters of AFS`},
		{site, `["../pool"]`, `"../pool" is not a plain relative path`},
		{dir, `["pool"]`, "mirror.volumes: has no meaning for a mirror without an AFS region"},
	} {
		got := ""
		if _, faults := mirrorspec.Parse("f", spec(c.region, c.volumes)); faults != nil {
			got = faults.Error()
		}
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s %s: got %q, want %q", c.region, c.volumes, got, c.want)
		}
	}
}

func TestRegionsAndDirectoriesOfMirrors(t *testing.T) {
	text := strings.Replace(valid, "[[mirror]]", `[[region]]
name = "iad"
dir = "/srv/iad"
url = "http://mirror.iad.example.org/"
[[mirror]]`, 1)
	text = strings.Replace(text, `kind = "yum"`, "kind = \"yum\"\nregions = [\"iad\"]", 1)
	spec, faults := mirrorspec.Parse("f", []byte(text))
	if faults != nil {
		t.Fatal(faults)
	}
	var names []string
	for _, mirror := range []string{"ubuntu", "rocky", "nothing"} {
		for _, region := range spec.RegionsOf(mirror) {
			names = append(names, mirror+" "+region.Name+" "+region.URL)
		}
	}
	want := []string{
		"ubuntu dfw http://mirror.dfw.example.org", "ubuntu iad http://mirror.iad.example.org",
		"rocky iad http://mirror.iad.example.org",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("regions (-want +got):\n%s", diff)
	}
	rocky, ok := spec.Mirror("rocky")
	if !ok || rocky.GoesTo("dfw") || !rocky.GoesTo("iad") {
		t.Errorf("rocky = %+v, %v", rocky, ok)
	}
	if _, ok := spec.Mirror("nothing"); ok {
		t.Error("found a mirror that is not there")
	}
	if tree, state := spec.TreeDir("rocky"), spec.StateDir("rocky"); tree != "/srv/trees/rocky" || state != "/srv/trees/.state/rocky" {
		t.Errorf("tree %s, state %s", tree, state)
	}
}

// TestCircles: each is told once, where it begins in the spec; what only looks like one passes.
func TestCircles(t *testing.T) {
	_, err := mirrorspec.Load(filepath.Join("testdata", "circles.toml"))
	if err == nil {
		t.Fatal("want faults")
	}
	golden(t, "circles.txt", []byte(err.Error()+"\n"))
}
