package yum_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/yum"
)

// hostile is an upstream that is wrong after a good cycle and heals later.
type hostile struct {
	name   string
	config func(*yum.Config)
	before func(*rpmrepotest.Repo) // changes the good edition
	repo   func(*rpmrepotest.Repo) // changes the bad edition
	files  func(map[string][]byte) // changes what is served of it
	alter  func(w http.ResponseWriter, r *http.Request) bool
	plant  func(t *testing.T, tree string) (undo func())
	kind   fault.Kind
	text   string // that the note must contain
}

const (
	alpha  = "os/Packages/alpha-1.1-1.noarch.rpm"
	repomd = "os/repodata/repomd.xml"
	portal = "<!DOCTYPE html><html><body>Please log in</body></html>"
)

// pointer changes the text of repomd.xml before it is signed.
func pointer(old, new string) func(*rpmrepotest.Repo) {
	return func(r *rpmrepotest.Repo) {
		r.Repomd = func(text string) string { return strings.Replace(text, old, new, 1) }
	}
}

// list changes the text of the primary before it is named.
func list(old, new string) func(*rpmrepotest.Repo) {
	return func(r *rpmrepotest.Repo) {
		r.Primary = func(text string) string { return strings.Replace(text, old, new, 1) }
	}
}

// named publishes the new package under a location of upstream's choice.
func named(location string) func(*rpmrepotest.Repo) {
	return list("Packages/alpha-1.1-1.noarch.rpm", location)
}

// file changes one served file; nil removes it.
func file(match string, change func([]byte) []byte) func(map[string][]byte) {
	return func(files map[string][]byte) {
		for name, data := range files {
			if strings.Contains(name, match) {
				if out := change(bytes.Clone(data)); out == nil {
					delete(files, name)
				} else {
					files[name] = out
				}
			}
		}
	}
}

func flip(b []byte) []byte         { b[len(b)/2] ^= 1; return b }
func short(b []byte) []byte        { return b[:len(b)-1] }
func long(b []byte) []byte         { return append(b, 'x') }
func gone([]byte) []byte           { return nil }
func page([]byte) []byte           { return []byte(portal) }
func unsigned(r *rpmrepotest.Repo) { r.Signed = false }

func answer(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
}

// link puts a link into the tree where something of the next edition will lie.
func link(name, target string) func(*testing.T, string) func() {
	return func(t *testing.T, tree string) func() {
		full := filepath.Join(tree, name)
		aside := full + ".aside"
		_ = os.Rename(full, aside)
		if err := os.Symlink(target, full); err != nil {
			t.Fatal(err)
		}
		return func() { _, _ = os.Remove(full), os.Rename(aside, full) }
	}
}

var hostiles = []hostile{
	// repomd.xml and what proves it.
	{name: "signed by a stranger", repo: func(r *rpmrepotest.Repo) { r.Key = debrepotest.NewKey("stranger") }, kind: fault.Unproved, text: "repomd.xml.asc"},
	{name: "signature of another text", files: file("repomd.xml.asc", flip), kind: fault.Unproved, text: "repomd.xml.asc"},
	{name: "text changed after signing", files: file("repomd.xml", func(b []byte) []byte {
		return bytes.Replace(b, []byte("<revision>1700086400"), []byte("<revision>1700086401"), 1)
	}),
		kind: fault.Unproved, text: "repomd.xml.asc"},
	{name: "signature withdrawn", repo: unsigned, kind: fault.Unproved, text: "upstream had one before"},
	{name: "empty signature", files: file("repomd.xml.asc", func([]byte) []byte { return []byte{} }), kind: fault.Unproved, text: "repomd.xml.asc"},
	{name: "page in place of the signature", files: file("repomd.xml.asc", page), kind: fault.Unproved, text: "repomd.xml.asc"},
	{name: "page in place of repomd.xml", files: file("repodata/repomd.xml", page), kind: fault.Malformed, text: repomd},
	{name: "repomd.xml cut short", files: file("repodata/repomd.xml", func(b []byte) []byte { return b[:len(b)/2] }), kind: fault.Malformed, text: repomd},
	{name: "empty repomd.xml", files: file("repodata/repomd.xml", func([]byte) []byte { return []byte{} }), kind: fault.Malformed, text: repomd},
	{name: "repomd.xml with entities", repo: pointer("<repomd", "<!DOCTYPE r [<!ENTITY a \"b\">]><repomd"), kind: fault.Malformed, text: "document type"},
	{name: "no primary", repo: pointer(`type="primary"`, `type="primitive"`), kind: fault.Malformed, text: "exactly one primary"},
	{name: "two primaries", repo: pointer(`type="filelists"`, `type="primary"`), kind: fault.Malformed, text: "exactly one primary"},
	{name: "data without checksum", repo: pointer(`<checksum type="sha256">`, `<nothing type="sha256">`), kind: fault.Malformed, text: repomd},
	{name: "data of an unknown checksum", repo: pointer(`<checksum type="sha256">`, `<checksum type="crc">`), kind: fault.Malformed, text: "unknown type"},
	{name: "older revision", repo: func(r *rpmrepotest.Repo) { r.Revision = 1600000000 }, kind: fault.Stale, text: "mirrored already"},
	{name: "older files under revision 0", before: func(r *rpmrepotest.Repo) { r.Repomd = noRevision }, repo: func(r *rpmrepotest.Repo) { r.Revision, r.Repomd = 1600000000, noRevision },
		kind: fault.Stale, text: "mirrored already"},
	{name: "an edition from before", repo: func(r *rpmrepotest.Repo) { r.Revision, r.Packages = 1690000000, good }, kind: fault.Stale, text: "mirrored already"},

	// Data files.
	{name: "data missing", files: file("filelists", gone), kind: fault.Gone, text: "filelists"},
	{name: "data of an unknown type missing", repo: func(r *rpmrepotest.Repo) { r.Data = map[string]string{"x-vendor": "x"} }, files: file("x-vendor", gone), kind: fault.Gone, text: "x-vendor"},
	{name: "zchunk data ahead of its index", repo: func(r *rpmrepotest.Repo) { r.Data = map[string]string{"primary_zck": "x"} }, files: file("primary_zck", flip), kind: fault.Unproved, text: "primary_zck"},
	{name: "primary with another digest", files: file("primary", flip), kind: fault.Unproved, text: "primary"},
	{name: "primary cut short", files: file("primary", short), kind: fault.Unproved, text: "primary"},
	{name: "primary longer than declared", files: file("primary", long), kind: fault.Unproved, text: "primary"},
	{name: "page in place of the primary", files: file("primary", page), kind: fault.Unproved, text: "captive portal"},
	{name: "primary that is no list", repo: func(r *rpmrepotest.Repo) { r.Primary = func(string) string { return portal } }, kind: fault.Hostile, text: "primary"},
	{name: "primary that ends early", repo: list("</metadata>", ""), kind: fault.Malformed, text: "primary"},
	{name: "primary of another compression", repo: func(r *rpmrepotest.Repo) {
		r.Form = "xz"
		r.Repomd = func(text string) string { return strings.ReplaceAll(text, ".xml.xz", ".xml.gz") }
	}, files: func(files map[string][]byte) {
		for name, data := range files {
			files[strings.ReplaceAll(name, ".xml.xz", ".xml.gz")] = data
		}
	}, kind: fault.Malformed, text: "primary.xml.gz"},
	{name: "data above the repository", repo: pointer(`href="repodata/`, `href="../repodata/`), kind: fault.Hostile, text: "leaves the repository"},
	{name: "data in place of repomd.xml", repo: func(r *rpmrepotest.Repo) {
		r.Data = map[string]string{"x": "x"}
		r.Repomd = func(text string) string {
			head, tail, _ := strings.Cut(text, `<data type="x">`)
			return head + `<data type="x">` + hrefs.replace(tail, "repodata/repomd.xml")
		}
	}, kind: fault.Hostile, text: "where repomd.xml does"},
	{name: "data under our own name", repo: func(r *rpmrepotest.Repo) {
		r.Data = map[string]string{"x": "x"}
		r.Repomd = func(text string) string {
			head, tail, _ := strings.Cut(text, `<data type="x">`)
			return head + `<data type="x">` + hrefs.replace(tail, ".mirror/generation.json")
		}
	}, kind: fault.Hostile, text: ".mirror"},

	// Lists of packages.
	{name: "package without checksum", repo: list(`<checksum`, `<nothing`), kind: fault.Malformed, text: "primary"},
	{name: "package without location", repo: list(`<location href=`, `<location at=`), kind: fault.Malformed, text: "no location"},
	{name: "package above the root", repo: named("../../etc/cron.d/evil.rpm"), kind: fault.Hostile, text: "leaves the upstream's root"},
	{name: "package above the root inside", repo: named("Packages/../../../../evil.rpm"), kind: fault.Hostile, text: "leaves the upstream's root"},
	{name: "package under our own name", repo: named(".mirror/id"), kind: fault.Hostile, text: ".mirror"},
	{name: "package with a control character", repo: named("Packages/&#27;[2J.rpm"), kind: fault.Hostile, text: "control character"},
	{name: "package with a backslash", repo: named(`..\..\evil.rpm`), kind: fault.Hostile, text: "backslash"},
	{name: "package in place of repomd.xml", repo: named("repodata/repomd.xml"), kind: fault.Hostile, text: "among the metadata"},
	{name: "package among another repository's metadata", repo: named("../other/repodata/primary.xml.gz"), kind: fault.Hostile, text: "among the metadata"},
	{name: "package that is a directory", repo: named("Packages/"), kind: fault.Hostile, text: "directory"},
	{name: "package below a package", repo: named("Packages/beta-2.0~rc1-1.noarch.rpm/a.rpm"), kind: fault.Malformed, text: "as a directory"},
	{name: "one path with two contents", repo: named("Packages/beta-2.0~rc1-1.noarch.rpm"), kind: fault.Malformed, text: "listed twice"},
	{name: "delta without checksum", repo: func(r *rpmrepotest.Repo) {
		r.Data = map[string]string{"prestodelta": "<prestodelta><delta><filename>d.drpm</filename></delta></prestodelta>"}
	}, kind: fault.Malformed, text: "prestodelta"},

	// Packages.
	{name: "package with another digest", files: file("alpha-1.1", flip), kind: fault.Unproved, text: alpha},
	{name: "package larger than declared", files: file("alpha-1.1", long), kind: fault.Unproved, text: alpha},
	{name: "package cut short", files: file("alpha-1.1", short), kind: fault.Unproved, text: alpha},
	{name: "package not found", files: file("alpha-1.1", gone), kind: fault.Gone, text: alpha},
	{name: "page in place of a package", files: file("alpha-1.1", page), kind: fault.Unproved, text: "captive portal"},
	{name: "package of a sha1 repository with another digest", repo: func(r *rpmrepotest.Repo) { r.Checksum = "sha1" }, files: file("alpha-1.1", flip), kind: fault.Unproved, text: "sha1 is"},
	{name: "package of a sha512 repository with another digest", repo: func(r *rpmrepotest.Repo) { r.Checksum = "sha512" }, files: file("alpha-1.1", flip), kind: fault.Unproved, text: "sha512 is"},
	{name: "package replaced under its name", repo: func(r *rpmrepotest.Repo) {
		r.Packages = slices.Clone(r.Packages)
		r.Packages[1].Content = "other"
	}, kind: fault.Conflict, text: "on-conflict"},
	{name: "package replaced in a sha512 repository", repo: func(r *rpmrepotest.Repo) {
		r.Packages, r.Checksum = slices.Clone(r.Packages), "sha512"
		r.Packages[1].Content = "other"
	}, kind: fault.Conflict, text: "on-conflict"},
	{name: "package that is no rpm", before: unsigned, repo: func(r *rpmrepotest.Repo) { r.Signed = false; r.Primary = announce(portal) },
		files: file("alpha-1.1", page), kind: fault.Malformed, text: "1 packages are not proved"},
	{name: "unsigned package", before: unsigned, repo: func(r *rpmrepotest.Repo) {
		r.Signed, r.Packages = false, slices.Clone(r.Packages)
		r.Packages[0].Unsigned = true
	}, kind: fault.Unproved, text: "no signature"},
	{name: "package signed by a stranger", before: unsigned, repo: func(r *rpmrepotest.Repo) {
		r.Signed, r.Key, r.Packages = false, debrepotest.NewKey("stranger"), append(next[:1:1], p("delta", "1"))
	}, kind: fault.Unproved, text: "2 packages are not proved"},

	// The tree, and the whole.
	{name: "link in place of a package", plant: link(alpha, "/etc/passwd"), kind: fault.Hostile, text: alpha},
	{name: "link in place of a directory", plant: link("os/Packages", "/tmp"), kind: fault.Hostile, text: "os/Packages"},
	{name: "everything answers 500", alter: answer(500), kind: fault.Unavailable, text: repomd},
	{name: "everything answers 403", alter: answer(403), kind: fault.Denied, text: repomd},
	{name: "everything answers 404", alter: answer(404), kind: fault.Gone, text: repomd},
	{name: "redirects in circles", alter: func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}, kind: fault.Unavailable, text: repomd},
}

// hrefs replaces the first location.
type hrefType struct{}

var hrefs hrefType

func (hrefType) replace(text, with string) string {
	i := strings.Index(text, `href="`) + len(`href="`)
	return text[:i] + with + text[i+strings.IndexByte(text[i:], '"'):]
}

func noRevision(text string) string {
	i, j := strings.Index(text, "<revision>"), strings.Index(text, "</revision>")
	return text[:i] + "<revision>0" + text[j:]
}

// announce makes the primary tell digest and size of other bytes for its first package.
func announce(data string) func(string) string {
	return func(text string) string {
		i := strings.Index(text, `pkgid="YES">`) + len(`pkgid="YES">`)
		text = text[:i] + digest([]byte(data)) + text[i+64:]
		j := strings.Index(text, `<size package="`) + len(`<size package="`)
		return text[:j] + "54" + text[j+strings.IndexByte(text[j:], '"'):]
	}
}

func TestHostile(t *testing.T) {
	for _, c := range hostiles {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.config)
			first := signedRepo(good, 1700000000)
			if c.before != nil {
				c.before(&first)
			}
			s.publish("os", first)
			s.must()
			before := s.snapshot()
			bad := signedRepo(next, 1700086400)
			if c.repo != nil {
				c.repo(&bad)
			}
			s.publish("os", bad)
			if c.files != nil {
				s.edit(c.files)
			}
			heal := func() {}
			if c.plant != nil {
				heal = c.plant(t, filepath.Join(s.b.Dir, "tree"))
			}
			s.alter = c.alter
			s.refused(s.cycle(), c.kind, c.text)
			heal()
			s.unchanged(before)

			// Nothing of the bad time is left once upstream is good again.
			s.alter = nil
			last := signedRepo(next, 1700172800)
			if c.before != nil {
				c.before(&last)
			}
			s.publish("os", last)
			s.must()
			s.holds("os/repodata")
			if got := s.b.Read(alpha); got != string(next[0].Bytes(s.key)) {
				t.Error("the new package is another one")
			}
			s.still()
		})
	}
}

// TestEmptied: a repository that lost its last package is told to the guard.
func TestEmptied(t *testing.T) {
	s := newSite(t, nil)
	s.publish("os", signedRepo(good, 1))
	s.must()
	s.publish("os", signedRepo(nil, 2))
	if r := s.must(); !slices.Equal(r.Info.Emptied, []string{"os"}) || r.Info.Drops != 3 {
		t.Errorf("the guard sees %+v", r.Info)
	}
}

// TestKeyringMissing: without keys nothing is mirrored, and the spec is to blame.
func TestKeyringMissing(t *testing.T) {
	s := newSite(t, func(c *yum.Config) { c.Keyring = "/nonexistent" })
	s.publish("os", signedRepo(good, 1))
	if r := s.cycle(); fault.KindOf(r.Err) != fault.Config || !strings.Contains(r.Err.Error(), `proof = "none"`) {
		t.Errorf("%v", r.Err)
	}
}
