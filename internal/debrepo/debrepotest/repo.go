// Package debrepotest builds small signed Debian archives of real packages.
//
// The demo upstream and the tests of every engine that reads apt archives use
// it, so what they meet has the form that dak and reprepro give it: a pool,
// dists, compressed indexes, by-hash, InRelease and Release.gpg.
package debrepotest

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"mirrorcycle/internal/debrepo"
)

// Repo is an archive: suites that share one pool.
type Repo struct {
	Keys   []*openpgp.Entity // all of them sign; Files makes one if there is none
	Suites []Suite
}

// Suite is one directory below dists/.
type Suite struct {
	Name string
	// Release gives the fields of the Release file. Suite and Codename default to
	// Name, Origin and Label to "Test", Date to Epoch plus a year; Components
	// and Architectures follow the packages if empty; Files are always made.
	Release debrepo.Release
	// Compressions are the forms served: "xz", "gz", "zst", "" (plain). Empty is
	// xz and gz. The plain form is listed in any case, as real archives do.
	Compressions []string
	Packages     []Package
	Unsigned     bool // neither InRelease nor Release.gpg
}

// Package puts a Deb into a component ("main" if empty).
type Package struct {
	Component string
	Deb
}

// Files builds the archive and returns every file by its path below the root.
func (r *Repo) Files() (map[string][]byte, error) {
	if len(r.Keys) == 0 {
		r.Keys = []*openpgp.Entity{NewKey("archive")}
	}
	files := map[string][]byte{}
	for _, s := range r.Suites {
		if err := r.addSuite(files, s); err != nil {
			return nil, fmt.Errorf("debrepotest: suite %s: %w", s.Name, err)
		}
	}
	return files, nil
}

// Write builds the archive below dir: what is there under the same name is
// replaced, what an earlier Write left otherwise stays (as by-hash files do).
// The files that clients ask for first are written last.
func (r *Repo) Write(dir string) error {
	files, err := r.Files()
	if err != nil {
		return err
	}
	for _, name := range slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		if d := writeRank(a) - writeRank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	}) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		// Renamed into place, so that a server never sends half of two files.
		if err := os.WriteFile(full+".new", files[name], 0o644); err != nil {
			return err
		}
		if err := os.Rename(full+".new", full); err != nil {
			return err
		}
	}
	return nil
}

func writeRank(name string) int {
	switch base := path.Base(name); {
	case strings.HasPrefix(name, "pool/"):
		return 0
	case strings.Contains(name, "/by-hash/"):
		return 1
	case base == "InRelease":
		return 4
	case base == "Release.gpg" || base == "Release" && strings.Count(name, "/") <= 2:
		return 3
	}
	return 2
}

func (r *Repo) addSuite(files map[string][]byte, s Suite) error {
	rel := s.defaults()
	root := "dists/" + s.Name + "/"
	for _, component := range rel.Components {
		// Security suites list "updates/main" and keep its files below main/.
		base := path.Base(component)
		for _, arch := range rel.Architectures {
			plain, err := s.packages(files, base, arch)
			if err != nil {
				return err
			}
			index := base + "/binary-" + arch + "/Packages"
			if err := s.addIndex(files, rel, index, plain); err != nil {
				return err
			}
		}
	}
	text := rel.Text()
	files[root+"Release"] = text
	if s.Unsigned {
		return nil
	}
	inRelease, err := debrepo.Clearsign(text, rel.Date, r.Keys...)
	if err != nil {
		return err
	}
	detached, err := debrepo.SignDetached(text, rel.Date, r.Keys[0])
	if err != nil {
		return err
	}
	files[root+"InRelease"], files[root+"Release.gpg"] = inRelease, detached
	return nil
}

func (s Suite) defaults() *debrepo.Release {
	rel := s.Release
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&rel.Suite, s.Name)
	fill(&rel.Codename, s.Name)
	fill(&rel.Origin, "Test")
	fill(&rel.Label, "Test")
	if rel.Date.IsZero() {
		rel.Date = Epoch.Add(365 * 24 * time.Hour)
	}
	components, arches := map[string]bool{}, map[string]bool{}
	for _, p := range s.Packages {
		components[p.component()] = true
		if p.arch() != "all" {
			arches[p.arch()] = true
		}
	}
	if len(rel.Components) == 0 {
		rel.Components = slices.Sorted(maps.Keys(components))
	}
	if len(rel.Architectures) == 0 {
		rel.Architectures = slices.Sorted(maps.Keys(arches))
	}
	if len(rel.Architectures) == 0 {
		rel.Architectures = []string{"amd64"}
	}
	rel.Files = nil
	return &rel
}

// packages writes the debs of one component and architecture to the pool and
// returns their Packages file. Packages for "all" stand in every one.
func (s Suite) packages(files map[string][]byte, component, arch string) ([]byte, error) {
	var b bytes.Buffer
	for _, p := range s.Packages {
		if p.component() != component || p.arch() != arch && p.arch() != "all" {
			continue
		}
		data := p.Bytes()
		prefix := p.Name[:1]
		if strings.HasPrefix(p.Name, "lib") && len(p.Name) > 3 {
			prefix = p.Name[:4]
		}
		name := path.Join("pool", component, prefix, p.Name, p.Filename())
		if old, ok := files[name]; ok && !bytes.Equal(old, data) {
			return nil, fmt.Errorf("%s would have two contents", name)
		}
		files[name] = data
		err := debrepo.WritePackage(&b, debrepo.Package{Name: p.Name, Version: p.Version, Architecture: p.arch(),
			Filename: name, Size: int64(len(data)), Hashes: Digests(data)},
			debrepo.Field{Name: "Depends", Value: p.Depends}, debrepo.Field{Name: "Description", Value: p.description()})
		if err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func (p Package) component() string {
	if p.Component == "" {
		return "main"
	}
	return p.Component
}

// addIndex serves one index in the suite's forms and lists it in Release.
func (s Suite) addIndex(files map[string][]byte, rel *debrepo.Release, index string, plain []byte) error {
	forms := s.Compressions
	if len(forms) == 0 {
		forms = []string{"xz", "gz"}
	}
	rel.Files = append(rel.Files, debrepo.File{Path: index, Size: int64(len(plain)), Hashes: strong(plain)})
	for _, form := range forms {
		data, err := Compress(form, plain)
		if err != nil {
			return err
		}
		f := debrepo.File{Path: index, Size: int64(len(data)), Hashes: strong(data)}
		if form != "" {
			f.Path += "." + form
			rel.Files = append(rel.Files, f)
		}
		files["dists/"+s.Name+"/"+f.Path] = data
		if rel.AcquireByHash {
			for _, name := range debrepo.ByHashPaths(f) {
				files["dists/"+s.Name+"/"+name] = data
			}
		}
	}
	return nil
}

// strong returns the digests of an index as today's archives list them.
func strong(data []byte) debrepo.Hashes {
	h := Digests(data)
	h.SHA1, h.SHA512 = "", ""
	return h
}

// Digests returns every digest of data.
func Digests(data []byte) debrepo.Hashes {
	a, b, c, d := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data), sha512.Sum512(data)
	return debrepo.Hashes{MD5: hex.EncodeToString(a[:]), SHA1: hex.EncodeToString(b[:]),
		SHA256: hex.EncodeToString(c[:]), SHA512: hex.EncodeToString(d[:])}
}

// Compress returns data in a form: "xz", "gz", "zst" or "" (as it is).
func Compress(form string, data []byte) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch form {
	case "":
		return data, nil
	case "xz":
		w, err = xz.NewWriter(&b)
	case "gz":
		w = gzip.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		err = fmt.Errorf("debrepotest: compress: unknown form %q", form)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
