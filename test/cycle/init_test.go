package cycle_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/internal/lab"
	kinds "mirrorcycle/internal/mirror"
)

// machines are configurations as people have them. APT, PYPI and KEY stand for
// the archive, the index and the archive's keyring, ARMOR for the key itself.
var machines = []struct {
	name, file, text string
	mirrors          int    // that the spec has
	left             string // what it says of the rest
	lacks            string // what the archive lacks of it: it has sources in bookworm, and contrib in bullseye only
}{
	{"one line", "etc/apt/sources.list", "deb [signed-by=KEY] APT bookworm main\n", 1, "", ""},
	{"slash and comment", "etc/apt/sources.list", "deb [signed-by=KEY] APT/ bookworm main # the release\n#deb APT sid main\n", 1, "", ""},
	{"options with blanks and tabs", "etc/apt/sources.list", "deb\t[ arch=amd64,all signed-by=KEY ]\tAPT\tbookworm main\n", 1, "", ""},
	{"releases with other components", "etc/apt/sources.list", "deb [signed-by=KEY] APT bookworm main non-free-firmware\ndeb [signed-by=KEY] APT bullseye main\n", 1, "", ""},
	{"updates of the same archive", "etc/apt/sources.list.d/a.list", "deb [signed-by=KEY] APT bookworm main\ndeb [signed-by=KEY] APT bullseye contrib\n", 1, "", ""},
	{"sources beside packages", "etc/apt/sources.list", "deb [signed-by=KEY] APT bookworm main\ndeb-src [signed-by=KEY] APT bookworm main\n", 1, "", ""},
	{"sources alone", "etc/apt/sources.list", "deb-src [signed-by=KEY] APT bookworm main\n", 1, "", ""},
	{"flat, dot", "etc/apt/sources.list", "deb [signed-by=KEY] APT/flat ./\n", 1, "", ""},
	{"flat, slash", "etc/apt/sources.list", "deb [signed-by=KEY] APT/flat /\n", 1, "", ""},
	{"flat, directory", "etc/apt/sources.list", "deb [signed-by=KEY] APT ./flat/\n", 1, "", ""},
	{"flat, of an architecture", "etc/apt/sources.list", "deb [signed-by=KEY] APT $(ARCH)/\n", 1, "", ""},
	{"medium and file", "etc/apt/sources.list", "deb cdrom:[Debian GNU/Linux 12]/ bookworm main\ndeb file:/srv/local ./\ndeb [signed-by=KEY] APT bookworm main\n", 1, `sources.list:2: "file"`, ""},
	{"trusted without a key", "etc/apt/sources.list", "deb [trusted=yes] APT bookworm main\ndeb [signed-by=KEY] APT bullseye main\n", 1, "sources.list:1: it is trusted without a signature", ""},
	{"deb822", "etc/apt/sources.list.d/a.sources", "Types: deb deb-src\nURIs: APT/\nSuites: bookworm bullseye\nComponents: main\nSigned-By: KEY\n", 1, "", `architecture "source"`},
	{"deb822, folded and in capitals", "etc/apt/sources.list.d/a.sources", "# c\nTYPES: deb\nURIS: APT\nSUITES: bookworm\n bullseye\nCOMPONENTS:\n main\n# c\n contrib\nSIGNED-BY: KEY\n", 1, "", `component "contrib"`},
	{"deb822, key inside", "etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: APT\nSuites: bookworm\nComponents: main\nSigned-By:\nARMOR", 1, "", ""},
	{"deb822, one switched off", "etc/apt/sources.list.d/a.sources", "Enabled: no\nTypes: deb\nURIs: APT\nSuites: sid\nComponents: main\n\nTypes: deb\nURIs: APT\nSuites: ./flat/\nSigned-By: KEY\n", 1, "", ""},
	{"deb822, two archives", "etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: APT OTHER\nSuites: bookworm\nComponents: main\nSigned-By: KEY\n", 2, "", ""},
	{"deb822, other schemes", "etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: mirror+file:/etc/apt/mirrors.list APT\nSuites: bookworm\nComponents: main\nSigned-By: KEY\n", 1, `"mirror+file"`, ""},
	{"pip.conf", "etc/pip.conf", "[global]\nindex-url = PYPI/simple/\n", 1, "", ""},
	{"pip.conf, without slash, twice", "etc/pip.conf", "[global]\nindex-url: PYPI/simple\n[install]\nextra_index_url =\n    PYPI/simple/\n    file:///srv/wheels\n", 1, `"file"`, ""},
	{"uv.toml", "etc/uv/uv.toml", "[[index]]\nname = \"own\"\nurl = \"PYPI/simple\"\ndefault = true\n\n[[index]]\nurl = \"PYPI/links\"\nformat = \"flat\"\n", 1, `"flat"`, ""},
	{"uv.toml, pip's part", "root/.config/uv/uv.toml", "[pip]\nindex-url = \"PYPI/simple/\"\n", 1, "", ""},
	{"all of it", "etc/apt/sources.list", "deb [signed-by=KEY] APT bookworm main\ndeb [signed-by=KEY] APT/flat ./\n", 2, "", ""},
}

// TestInitWritesSpecsThatRun reads machines' configurations, and runs all the
// specs that come of them in one cycle.
func TestInitWritesSpecsThatRun(t *testing.T) {
	key := debrepotest.NewKey("init")
	keyring := filepath.Join(t.TempDir(), "archive.gpg")
	write(t, keyring, debrepotest.PublicKeys(key))
	archive := httptest.NewServer(http.FileServerFS(os.DirFS(initArchive(t, key))))
	t.Cleanup(archive.Close)
	other := httptest.NewServer(http.FileServerFS(os.DirFS(initArchive(t, key))))
	t.Cleanup(other.Close)
	u := lab.NewUpstream(t)
	for _, name := range []string{"pip", "setuptools", "wheel"} {
		u.Project(name, "1.0")
	}
	armored := " " + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(string(debrepotest.ArmoredKeys(key))), "\n\n", "\n.\n"), "\n", "\n ") + "\n"
	words := strings.NewReplacer("APT", archive.URL, "OTHER", other.URL, "PYPI", u.URL+"/pypi", "KEY", keyring, "ARMOR", armored)
	mirror := regexp.MustCompile(`(?m)^(name = ")`)
	var all strings.Builder
	want := 0
	for i, m := range machines {
		root := t.TempDir()
		write(t, filepath.Join(root, "var/lib/dpkg/arch"), []byte("amd64\n"))
		write(t, filepath.Join(root, m.file), []byte(words.Replace(m.text)))
		found := hostconf.Read(root)
		found.KeyDir = root
		for name, data := range found.Keys() {
			write(t, filepath.Join(root, name), data)
		}
		text, err := kinds.Init(found)
		if err != nil {
			t.Errorf("%s: %v\n%s", m.name, err, text)
			continue
		}
		_, mirrors, _ := strings.Cut(string(text), "\n[[mirror]]")
		mirrors, left, _ := strings.Cut("[[mirror]]"+mirrors, "\n# Left out:")
		if n := strings.Count(mirrors, "[[mirror]]"); n != m.mirrors || !strings.Contains(left, m.left) || (m.left == "") != (left == "") {
			t.Errorf("%s: %d mirrors, left out: %s", m.name, n, left)
		}
		want += m.mirrors
		all.WriteString(mirror.ReplaceAllString(mirrors, fmt.Sprintf("${1}m%d-", i)) + "\n")
	}
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: all.String()})
	out := h.Cycle()
	if len(out.Mirrors) != want {
		t.Errorf("%d mirrors ran, want %d", len(out.Mirrors), want)
	}
	for _, m := range out.Mirrors {
		var i int
		if _, err := fmt.Sscanf(m.Mirror, "m%d-", &i); err != nil {
			t.Fatal(err)
		}
		lacks := machines[i].lacks
		if m.Generation != 1 || lacks == "" && m.Outcome != "done" || lacks != "" && (len(m.Deferred) == 0 || !strings.Contains(m.Deferred[0].Error, lacks)) {
			t.Errorf("%s: %+v", machines[i].name, m)
		}
		if strings.Contains(machines[i].text, "deb-src") {
			check{h, "/" + m.Mirror + "/pool/main/a/alpha/alpha_1.dsc"}.served(t)
		}
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// initArchive is an archive with two releases of different components, and flat
// repositories of the same package in flat/ and amd64/.
func initArchive(t *testing.T, key *openpgp.Entity) string {
	t.Helper()
	dir := t.TempDir()
	deb, contrib := lab.Deb("alpha", "1"), lab.Deb("beta", "1")
	contrib.Component = "contrib"
	firmware := lab.Deb("gamma", "1")
	firmware.Component = "non-free-firmware"
	date := time.Now().Add(-time.Hour).Truncate(time.Second)
	repo := debrepotest.Repo{Keys: []*openpgp.Entity{key}, Suites: []debrepotest.Suite{
		{Name: "bookworm", Compressions: []string{"", "xz"}, Packages: []debrepotest.Package{deb, firmware}, Release: debrepo.Release{Date: date}},
		{Name: "bullseye", Packages: []debrepotest.Package{deb, contrib}, Release: debrepo.Release{Date: date}}}}
	if err := repo.Write(dir); err != nil {
		t.Fatal(err)
	}
	addSources(t, key, dir)
	packages, err := os.ReadFile(filepath.Join(dir, "dists/bookworm/main/binary-amd64/Packages"))
	if err != nil {
		t.Fatal(err)
	}
	for _, flat := range []string{"flat", "amd64"} {
		names := regexp.MustCompile(`(?m)^Filename: (.*)$`)
		pool := string(names.FindSubmatch(packages)[1])
		data, err := os.ReadFile(filepath.Join(dir, pool))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, flat, "alpha.deb"), data)
		filename := flat + "/alpha.deb" // relative to the URL, which is the archive's or the directory's
		if flat == "flat" {
			filename = "./alpha.deb"
			write(t, filepath.Join(dir, "alpha.deb"), data) // for who names the archive's URL
		}
		index := names.ReplaceAll(packages, []byte("Filename: "+filename))
		write(t, filepath.Join(dir, flat, "Packages"), index)
		release := fmt.Sprintf("Date: %s\nSHA256:\n %x %d Packages\n", date.UTC().Format(time.RFC1123), sha256.Sum256(index), len(index))
		write(t, filepath.Join(dir, flat, "InRelease"), clearsigned(t, key, release))
	}
	return dir
}

// addSources gives bookworm a source package.
func addSources(t *testing.T, key *openpgp.Entity, dir string) {
	t.Helper()
	dsc := []byte("Format: 3.0 (quilt)\nSource: alpha\nVersion: 1\n")
	write(t, filepath.Join(dir, "pool/main/a/alpha/alpha_1.dsc"), dsc)
	index := fmt.Sprintf("Package: alpha\nVersion: 1\nDirectory: pool/main/a/alpha\nChecksums-Sha256:\n %x %d alpha_1.dsc\n", sha256.Sum256(dsc), len(dsc))
	write(t, filepath.Join(dir, "dists/bookworm/main/source/Sources"), []byte(index))
	release, err := os.ReadFile(filepath.Join(dir, "dists/bookworm/Release"))
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("SHA256:\n %x %d main/source/Sources\n", sha256.Sum256([]byte(index)), len(index))
	write(t, filepath.Join(dir, "dists/bookworm/InRelease"), clearsigned(t, key, strings.Replace(string(release), "SHA256:\n", line, 1)))
}

func clearsigned(t *testing.T, key *openpgp.Entity, text string) []byte {
	t.Helper()
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, key.PrivateKey, nil)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed.Bytes()
}
