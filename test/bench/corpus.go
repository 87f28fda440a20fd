// Package bench measures whole cycles against a bare downloader in the same run.
package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

// objectSize is the size in bytes of each made-up package.
const objectSize = 2048

// corpus is an archive of small packages with real names, on disk for nginx.
type corpus struct {
	dir      string
	key      *openpgp.Entity
	packages []debrepo.Package
	date     time.Time
}

// newCorpus lays n packages down. Names and versions are those that apt knows on this machine.
func newCorpus(dir string, n int) (*corpus, error) {
	c := &corpus{dir: dir, key: debrepotest.NewKey("bench"), date: time.Now().Add(-24 * time.Hour).Truncate(time.Second)}
	seen := map[string]bool{}
	for _, p := range available() {
		if len(c.packages) < n && !seen[p.Filename] {
			seen[p.Filename] = true
			c.packages = append(c.packages, p)
		}
	}
	for i := len(c.packages); i < n; i++ {
		name := fmt.Sprintf("package%06d", i)
		c.packages = append(c.packages, debrepo.Package{Name: name, Version: "1", Architecture: "amd64", Filename: "pool/main/p/" + name + "/" + name + "_1_amd64.deb"})
	}
	for i := range c.packages {
		if err := c.write(i, 0); err != nil {
			return nil, err
		}
	}
	return c, c.publish()
}

// available asks apt for the packages it knows; none where there is no apt.
func available() []debrepo.Package {
	out, err := exec.Command("apt-cache", "dumpavail").Output()
	if err != nil {
		return nil
	}
	var all []debrepo.Package
	for stanza := range bytes.SplitSeq(out, []byte("\n\n")) {
		var p debrepo.Package
		for line := range bytes.Lines(stanza) {
			key, value, _ := strings.Cut(strings.TrimSpace(string(line)), ": ")
			switch key {
			case "Package":
				p.Name = value
			case "Version":
				p.Version = value
			case "Filename":
				p.Filename = value
			}
		}
		p.Architecture = "amd64"
		if p.Name != "" && strings.HasPrefix(p.Filename, "pool/") {
			all = append(all, p)
		}
	}
	return all
}

// write makes the content of package i, a new one for each edition.
func (c *corpus) write(i, edition int) error {
	p := &c.packages[i]
	data := make([]byte, objectSize)
	rng := rand.New(rand.NewPCG(uint64(i), uint64(edition)))
	for j := range data {
		data[j] = byte(rng.Uint32())
	}
	sum := sha256.Sum256(data)
	p.Size, p.Hashes = objectSize, debrepo.Hashes{SHA256: hex.EncodeToString(sum[:])}
	name := filepath.Join(c.dir, p.Filename)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// change gives every step-th package a new version under a new name.
func (c *corpus) change(step, edition int) error {
	for i := 0; i < len(c.packages); i += step {
		p := &c.packages[i]
		p.Version = fmt.Sprintf("%s+e%d", p.Version, edition)
		p.Filename = strings.TrimSuffix(p.Filename, ".deb") + fmt.Sprintf("+e%d.deb", edition)
		if err := c.write(i, edition); err != nil {
			return err
		}
	}
	return c.publish()
}

// publish writes the indexes and signs them.
func (c *corpus) publish() error {
	c.date = c.date.Add(time.Minute)
	var plain bytes.Buffer
	for _, p := range c.packages {
		if err := debrepo.WritePackage(&plain, p); err != nil {
			return err
		}
	}
	rel := debrepo.Release{Origin: "Bench", Label: "Bench", Suite: "stable", Codename: "stable", Date: c.date, AcquireByHash: true,
		Architectures: []string{"amd64"}, Components: []string{"main"}}
	for _, form := range []string{"", "gz", "xz"} {
		data, err := debrepotest.Compress(form, plain.Bytes())
		if err != nil {
			return err
		}
		f := debrepo.File{Path: strings.TrimSuffix("main/binary-amd64/Packages."+form, "."), Size: int64(len(data)), Hashes: debrepotest.Digests(data)}
		rel.Files = append(rel.Files, f)
		if form == "" {
			continue // listed, and not served, as real archives do
		}
		for _, p := range append(debrepo.ByHashPaths(f), f.Path) {
			if err := c.put(p, data); err != nil {
				return err
			}
		}
	}
	signed, err := debrepo.Clearsign(rel.Text(), c.date, c.key)
	if err != nil {
		return err
	}
	return c.put("InRelease", signed)
}

func (c *corpus) put(p string, data []byte) error {
	name := filepath.Join(c.dir, "dists/stable", p)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
