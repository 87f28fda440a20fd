package rpmrepotest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/rpmrepo"
)

// Repo says what a repository holds. Its zero value, with packages, is one of
// SHA-256 and gzip whose data files have their checksum in their names.
type Repo struct {
	Packages []Package
	Key      *openpgp.Entity // signs packages, and repomd.xml if Signed
	Signed   bool
	Revision int64  // 1700000000 if zero
	Checksum string // "sha256" if empty
	Form     string // "gz" if empty, "xz", "zst", "plain"
	Simple   bool   // data files have simple names
	NoSizes  bool   // neither in repomd.xml nor in the primary
	// Data are further data files by type, and Beside further files by path.
	Data, Beside map[string]string
	// Place returns the location of a package; "Packages/<file>" if nil.
	Place func(Package) string
	// Primary, Filelists and Repomd change texts before they are named and signed.
	Primary, Filelists, Repomd func(string) string
	// Metadata leaves the rpms themselves out.
	Metadata bool
	// Bytes are rpms that were made in another way, by name of the package.
	Bytes map[string][]byte
	// SignedAt is when repomd.xml was signed; 1700000000 if zero.
	SignedAt time.Time
}

func sum(kind string, data []byte) string {
	h := rpmrepo.Checksum{Type: strings.Replace(kind, "sha", "sha1", map[bool]int{true: 1, false: 0}[kind == "sha"])}.New()
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// Files returns what the repository serves, by path below it.
func (r Repo) Files() map[string][]byte {
	files := map[string][]byte{}
	if r.Checksum == "" {
		r.Checksum = "sha256"
	}
	var primary, filelists strings.Builder
	for _, p := range r.Packages {
		data, ok := r.Bytes[p.Name]
		if !ok {
			data = p.Bytes(r.Key)
		}
		at := "Packages/" + p.File()
		if r.Place != nil {
			at = r.Place(p)
		}
		if !r.Metadata {
			files[path.Clean(at)] = data
		}
		digest := sum(r.Checksum, data)
		size := fmt.Sprintf(`<size package="%d" installed="9" archive="9"/>`, len(data))
		if r.NoSizes {
			size = ""
		}
		fmt.Fprintf(&primary, "<package type=\"rpm\"><name>%s</name><arch>%s</arch><version epoch=\"0\" ver=\"%s\" rel=\"1\"/>"+
			"<checksum type=\"%s\" pkgid=\"YES\">%s</checksum><summary>test package</summary><description>a &amp; b</description>%s"+
			"<location href=\"%s\"/><format><rpm:license>Apache-2.0</rpm:license><rpm:provides><rpm:entry name=\"%s\" flags=\"EQ\" epoch=\"0\" ver=\"%s\" rel=\"1\"/></rpm:provides></format></package>\n",
			p.Name, p.arch(), p.Version, r.Checksum, digest, size, at, p.Name, p.Version)
		fmt.Fprintf(&filelists, "<package pkgid=\"%s\" name=\"%s\" arch=\"%s\"><version epoch=\"0\" ver=\"%s\" rel=\"1\"/><file>/opt/%s/content</file></package>\n",
			digest, p.Name, p.arch(), p.Version, p.Name)
	}
	text := wrap("metadata", `xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"`, len(r.Packages), primary.String())
	if r.Primary != nil {
		text = r.Primary(text)
	}
	var entries strings.Builder
	r.data(files, &entries, "primary", ".xml", text)
	names := wrap("filelists", `xmlns="http://linux.duke.edu/metadata/filelists"`, len(r.Packages), filelists.String())
	if r.Filelists != nil {
		names = r.Filelists(names)
	}
	r.data(files, &entries, "filelists", ".xml", names)
	for _, kind := range slices.Sorted(maps.Keys(r.Data)) {
		r.data(files, &entries, kind, ".xml", r.Data[kind])
	}
	for name, text := range r.Beside {
		files[name] = []byte(text)
	}
	r.pointer(files, entries.String())
	return files
}

func wrap(root, attributes string, packages int, body string) string {
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s %s packages=\"%d\">\n%s</%s>\n", root, attributes, packages, body, root)
}

func (r Repo) pointer(files map[string][]byte, entries string) {
	if r.Revision == 0 {
		r.Revision = 1700000000
	}
	text := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\n<revision>%d</revision>\n%s</repomd>\n", r.Revision, entries)
	if r.Repomd != nil {
		text = r.Repomd(text)
	}
	files["repodata/repomd.xml"] = []byte(text)
	if r.Signed {
		files["repodata/repomd.xml.asc"] = r.Sign([]byte(text))
		files["repodata/repomd.xml.key"] = debrepotest.ArmoredKeys(r.Key)
	}
}

// Sign returns a binary signature of a repomd.xml.
func (r Repo) Sign(text []byte) []byte {
	at := r.SignedAt
	if at.IsZero() {
		at = time.Unix(1700000000, 0)
	}
	return sign(r.Key, text, at)
}

// data adds one data file.
func (r Repo) data(files map[string][]byte, entries *strings.Builder, kind, suffix, text string) {
	form := r.Form
	switch form {
	case "":
		form = "gz"
	case "plain":
		form = ""
	}
	data, err := debrepotest.Compress(form, []byte(text))
	if err != nil {
		panic("rpmrepotest: " + err.Error())
	}
	name := "repodata/" + kind + strings.TrimSuffix(suffix+"."+form, ".")
	digest := sum(r.Checksum, data)
	if !r.Simple {
		name = "repodata/" + digest + "-" + path.Base(name)
	}
	files[name] = data
	size := fmt.Sprintf("<size>%d</size><open-size>%d</open-size>", len(data), len(text))
	if r.NoSizes {
		size = ""
	}
	fmt.Fprintf(entries, "<data type=\"%s\"><checksum type=\"%s\">%s</checksum><open-checksum type=\"%s\">%s</open-checksum><location href=\"%s\"/><timestamp>%d</timestamp>%s</data>\n",
		kind, r.Checksum, digest, r.Checksum, sum(r.Checksum, []byte(text)), name, max(r.Revision, 1), size)
}
