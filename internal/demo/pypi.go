package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/simpleindex"
)

const (
	simplePath = "/pypi/simple/"
	formHTML   = "#html" // forms of a page, behind its path
	formJSON   = "#json"
)

// renderPyPI adds the index's pages and the files they name.
func (u *Upstream) renderPyPI(files map[string]file) error {
	var roots []simpleindex.RootProject
	for _, p := range u.model.projects {
		page, err := u.page(p, files)
		if err != nil {
			return err
		}
		at := simplePath + page.Name + "/"
		addPage(files, at+formJSON, simpleindex.MediaV1JSON, p.serial, page.RenderJSON(simpleindex.RenderOptions{}))
		addPage(files, at+formHTML, simpleindex.MediaHTML, p.serial, page.RenderHTML(simpleindex.RenderOptions{}))
		if p.status != simpleindex.Quarantined { // which have no files and are not listed
			roots = append(roots, simpleindex.RootProject{Name: p.name, LastSerial: p.serial})
		}
	}
	slices.SortFunc(roots, func(a, b simpleindex.RootProject) int {
		return strings.Compare(simpleindex.Normalize(a.Name), simpleindex.Normalize(b.Name))
	})
	var asJSON, asHTML bytes.Buffer
	if err := simpleindex.RenderRootJSON(&asJSON, u.model.serial, slices.Values(roots)); err != nil {
		return err
	}
	if err := simpleindex.RenderRootHTML(&asHTML, u.model.serial, slices.Values(roots)); err != nil {
		return err
	}
	addPage(files, simplePath+formJSON, simpleindex.MediaV1JSON, u.model.serial, asJSON.Bytes())
	addPage(files, simplePath+formHTML, simpleindex.MediaHTML, u.model.serial, asHTML.Bytes())
	return nil
}

func addPage(files map[string]file, name, media string, serial int64, data []byte) {
	f := newFile(data, media)
	f.serial = serial
	files[name] = f
}

// page makes a project's page and adds the files that it names.
func (u *Upstream) page(p *project, files map[string]file) (*simpleindex.Project, error) {
	page := &simpleindex.Project{Name: simpleindex.Normalize(p.name), Status: p.status, StatusReason: p.reason, LastSerial: p.serial}
	if p.status == simpleindex.Quarantined {
		return page, nil
	}
	add := func(r release, name string, data []byte) string {
		sum := sha256.Sum256(data)
		f := simpleindex.File{Filename: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
			UploadTime: u.kept.Start.Add(time.Duration(r.step) * time.Second), RequiresPython: p.requires,
			Yanked: r.yanked != "", YankedReason: r.yanked}
		at := "/pypi/" + simpleindex.ObjectPath("", f.SHA256, name)
		files[at] = newFile(data, "application/octet-stream")
		page.Files = append(page.Files, f)
		return at
	}
	for _, r := range p.versions {
		d := distribution{name: p.name, version: wheelVersion(r.number), requires: p.requires}
		page.Versions = append(page.Versions, d.version)
		wheel, err := d.wheel()
		if err != nil {
			return nil, err
		}
		at := add(r, d.stem()+"-py3-none-any.whl", wheel)
		metadata := d.metadata()
		files[at+".metadata"] = newFile(metadata, "application/octet-stream")
		sum := sha256.Sum256(metadata)
		page.Files[len(page.Files)-1].CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: hex.EncodeToString(sum[:])}
		if p.sdist {
			sdist, err := d.sdist()
			if err != nil {
				return nil, err
			}
			add(r, d.stem()+".tar.gz", sdist)
		}
	}
	return page, nil
}

func isPage(name string) bool {
	return strings.HasPrefix(name, simplePath) && strings.HasSuffix(name, "/")
}

// redirect sends a page without a slash, or of a name that is not normalised,
// to where it is.
func redirect(name string) (to string, ok bool) {
	project, ok := strings.CutPrefix(name+"/", simplePath)
	if !ok {
		return "", false
	}
	project = strings.Trim(project, "/")
	if project == "" {
		return simplePath, name+"/" == simplePath
	}
	to = simplePath + simpleindex.Normalize(project) + "/"
	return to, simpleindex.ValidName(project) && to != name
}

// pageForm picks JSON for whoever names it, as every mirror and installer of
// today does, and HTML for all others.
func pageForm(accept []string) string {
	if strings.Contains(strings.Join(accept, ","), simpleindex.MediaV1JSON) {
		return formJSON
	}
	return formHTML
}
