package pypi

import (
	"bytes"
	"errors"
	"fmt"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// page renders a project's page in its three forms.
func (s *settler) page(p *simpleindex.Project) error {
	html := p.RenderHTML(simpleindex.RenderOptions{})
	dir := simpleindex.ProjectPath(p.Name)
	return errors.Join(
		s.index(dir, simpleindex.HTMLName, html, manifest.Index2),
		s.index(dir, simpleindex.V1HTMLName, html, manifest.Index2),
		s.index(dir, simpleindex.V1JSONName, p.RenderJSON(simpleindex.RenderOptions{}), manifest.Index2))
}

func (s *settler) index(dir, name string, data []byte, kind manifest.Kind) error {
	d, err := s.t.PutIndex(data)
	e := manifest.Entry{Path: dir + "/" + name, Kind: kind, Size: int64(len(data)), Digest: d}
	s.files[e.Path] = manifest.Change{Entry: e}
	return err
}

func (s *settler) unpage(project string) error {
	for _, name := range []string{simpleindex.HTMLName, simpleindex.V1HTMLName, simpleindex.V1JSONName} {
		path := simpleindex.ProjectPath(project) + "/" + name
		e, ok, err := s.was.Lookup(path)
		if err != nil {
			return err
		}
		if ok {
			s.files[path] = manifest.Change{Entry: e, Remove: true}
		}
	}
	return nil
}

// root renders the root page from the table of projects. Quarantined projects are not listed.
func (s *settler) root(rows *manifest.Manifest, serial int64) error {
	var failure error
	list := func(yield func(simpleindex.RootProject) bool) {
		for row, err := range rows.All() {
			if err != nil {
				failure = err
				return
			}
			if readNote(row).State == simpleindex.Quarantined {
				continue
			}
			if !yield(simpleindex.RootProject{Name: display(row), LastSerial: row.Size}) {
				return
			}
		}
	}
	var html, asJSON bytes.Buffer
	if err := errors.Join(simpleindex.RenderRootHTML(&html, serial, list), simpleindex.RenderRootJSON(&asJSON, serial, list), failure); err != nil {
		return fmt.Errorf("pypi: render root: %w", err)
	}
	return errors.Join(
		s.index("simple", simpleindex.HTMLName, html.Bytes(), manifest.Pointer),
		s.index("simple", simpleindex.V1HTMLName, html.Bytes(), manifest.Pointer),
		s.index("simple", simpleindex.V1JSONName, asJSON.Bytes(), manifest.Pointer))
}
