package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/simpleindex"
)

// Key is what clients of the apt archive trust; Keyring holds its public part.
func (u *Upstream) Key() *openpgp.Entity { return u.key }

// Archive publishes an apt archive as it is, by path below its root; by-hash
// files of older publications stay.
func (u *Upstream) Archive(files map[string][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.archive(files)
}

func (u *Upstream) archive(files map[string][]byte) {
	for p, data := range u.apt {
		if _, ok := files[p]; !ok && strings.Contains(p, "/by-hash/") {
			files[p] = data
		}
	}
	u.apt = files
}

// Object is a file of a project as its index page names it.
type Object struct {
	Filename, Version string
	Data              []byte
	Metadata          []byte // of a wheel; nil if it is not served by itself
	RequiresPython    string
}

// Path is where a mirror has the object.
func (o Object) Path() string { return "/" + simpleindex.ObjectPath("", digest(o.Data), o.Filename) }

// Objects publishes a project with these files; none deletes it.
func (u *Upstream) Objects(name string, objects ...Object) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.serial++
	page := "simple/" + name + "/"
	if len(objects) == 0 {
		delete(u.pypi, page)
		delete(u.pages, name)
		u.root()
		return
	}
	p := simpleindex.Project{Name: name, Status: simpleindex.Active, LastSerial: u.serial}
	for _, o := range objects {
		f := simpleindex.File{Filename: o.Filename, SHA256: digest(o.Data), Size: int64(len(o.Data)), RequiresPython: o.RequiresPython,
			URL: u.URL + "/pypi" + o.Path()}
		u.pypi[o.Path()[1:]] = o.Data
		if o.Metadata != nil {
			f.CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: digest(o.Metadata)}
			u.pypi[o.Path()[1:]+".metadata"] = o.Metadata
		}
		p.Files, p.Versions = append(p.Files, f), append(p.Versions, o.Version)
	}
	u.pypi[page] = p.RenderJSON(simpleindex.RenderOptions{})
	u.pages[name] = strconv.FormatInt(u.serial, 10)
	u.root()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Lose makes upstream lack a file that its indexes still name.
func (u *Upstream) Lose(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.apt, strings.TrimPrefix(path, "/apt/"))
	delete(u.pypi, strings.TrimPrefix(path, "/pypi/"))
}
