package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

const (
	// validity of a signed suite, as debian-security has it.
	validity = 7 * 24 * time.Hour
	// lag is how far a Date stays behind the clock. Dates must rise with every
	// publication, also with several in a second, and clients refuse those
	// that lie in the future.
	lag = 30 * time.Second
)

// suite is a suite as it was signed last.
type suite struct {
	content string // what it had then
	until   time.Time
	files   map[string][]byte
	date    time.Time
}

// renderDebian adds the archive's files. A suite without a change keeps its
// files byte for byte until its signature is about to expire.
func (u *Upstream) renderDebian(files map[string]file) error {
	for _, s := range []struct {
		name     string
		versions map[string]int
	}{{"demo", u.model.stable}, {"demo-updates", u.model.updates}} {
		signed, err := u.sign(s.name, s.versions)
		if err != nil {
			return err
		}
		u.suites[s.name] = signed
		for name, data := range signed.files {
			f := newFile(data, "application/octet-stream")
			f.modified = debrepotest.Epoch
			if strings.HasPrefix(name, "dists/") && !strings.Contains(name, "/by-hash/") {
				f.modified = signed.date
			}
			files["/debian/"+name] = f
		}
	}
	return nil
}

func (u *Upstream) sign(name string, versions map[string]int) (suite, error) {
	old := u.suites[name]
	content := fmt.Sprint(versions) // maps print in order
	if content == old.content && u.now().Before(old.until.Add(-24*time.Hour)) {
		return old, nil
	}
	date := u.now().Add(-lag).UTC().Truncate(time.Second)
	if next := u.kept.Date.Add(time.Second); date.Before(next) {
		date = next
	}
	u.kept.Date = date
	var packages []debrepotest.Package
	for _, p := range debs {
		if v, ok := versions[p.name]; ok {
			packages = append(packages, p.build(v))
		}
	}
	repo := debrepotest.Repo{Keys: []*openpgp.Entity{u.key}, Suites: []debrepotest.Suite{{
		Name:     name,
		Packages: packages,
		Release: debrepo.Release{Origin: "MirrorCycle demo", Label: "MirrorCycle demo", Description: "made up packages to try a mirror on",
			Date: date, ValidUntil: date.Add(validity), AcquireByHash: true,
			Components: []string{"main"}, Architectures: []string{"amd64"}},
	}}}
	files, err := repo.Files()
	return suite{content: content, until: date.Add(validity), files: files, date: date}, err
}
