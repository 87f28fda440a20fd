package pypi

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// rendered is a project's page in its two texts.
type rendered struct{ html, json []byte }

func render(p *simpleindex.Project) rendered {
	return rendered{p.RenderHTML(simpleindex.RenderOptions{}), p.RenderJSON(simpleindex.RenderOptions{})}
}

// ready completes and renders a project's page. ok is false, and the project is
// noted, if the page does not read back as what it was made from: verification
// would keep the whole generation from regions, and this is one project.
func (s *settler) ready(c change, files []simpleindex.File, objects []manifest.Entry) (pages rendered, ok bool, err error) {
	if c.Gone {
		return pages, true, nil
	}
	c.Project.Files, c.Project.LastSerial = files, c.Serial
	complete(c.Project)
	if err := s.times(c.Project); err != nil {
		return pages, false, err
	}
	pages = s.render(c.Project)
	if err := readsBack(c.Name, pages, objects); err != nil {
		err := &fault.Error{Kind: fault.Corrupt, Op: "pypi: check page", Subject: c.Name, Err: err, Advice: "the project keeps its page, all others go on; report this as a fault of this program"}
		s.notes = append(s.notes, tree.Note{Unit: c.Name, Kind: string(err.Kind), Error: err.Error()})
		s.held = true
		return pages, false, nil
	}
	return pages, true, nil
}

// readsBack checks that both texts lead to the objects, and to no others.
func readsBack(name string, pages rendered, objects []manifest.Entry) error {
	p, err := simpleindex.ParseProject(pages.json, name, anyHost+simpleindex.ProjectPath(name)+"/")
	if err != nil {
		return err
	}
	if len(p.Refused) > 0 {
		return p.Refused[0].Err
	}
	has := map[string]manifest.Entry{}
	for _, e := range objects {
		has[e.Path] = e
	}
	for _, f := range p.Files {
		u, err := url.Parse(f.URL)
		if err != nil {
			return err
		}
		object := strings.TrimPrefix(u.Path, "/")
		e, ok := has[object]
		meta, described := has[object+".metadata"]
		switch {
		case !ok || u.Scheme+"://"+u.Host+"/" != anyHost || e.Digest.String() != f.SHA256 || e.Size != f.Size:
			return fmt.Errorf("%s leads to %s, which is not there as the page says", f.Filename, u.Path)
		case described != f.CoreMetadata.Available || described && meta.Digest.String() != f.CoreMetadata.SHA256:
			return fmt.Errorf("%s has metadata that is not there as the page says", f.Filename)
		case !bytes.Contains(pages.html, []byte("#sha256="+f.SHA256)):
			return fmt.Errorf("the HTML form lacks %s", f.Filename)
		}
	}
	return nil
}

// page lays down a project's page in its three forms.
func (s *settler) page(name string, r rendered) error {
	dir := simpleindex.ProjectPath(name)
	return errors.Join(
		s.index(dir, simpleindex.HTMLName, r.html),
		s.index(dir, simpleindex.V1HTMLName, r.html),
		s.index(dir, simpleindex.V1JSONName, r.json))
}

func (s *settler) index(dir, name string, data []byte) error {
	d, err := s.t.PutIndex(data)
	e := manifest.Entry{Path: dir + "/" + name, Kind: manifest.Index2, Size: int64(len(data)), Digest: d}
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

// isQuarantined reads only those notes that may say so: a root page lists
// hundreds of thousands of rows, and hardly any does.
func isQuarantined(row manifest.Entry) bool {
	return strings.Contains(row.Note, string(simpleindex.Quarantined)) && readNote(row).State == simpleindex.Quarantined
}

// root renders the root page from the table of projects, both forms at once.
// Quarantined projects are not listed.
func (s *settler) root(rows *manifest.Manifest, serial int64) error {
	var html, asJSON manifest.Entry
	var g errgroup.Group
	g.Go(func() (err error) {
		html, err = s.rootForm(rows, func(w io.Writer, list iter.Seq[simpleindex.RootProject]) error {
			return simpleindex.RenderRootHTML(w, serial, list)
		})
		return err
	})
	g.Go(func() (err error) {
		asJSON, err = s.rootForm(rows, func(w io.Writer, list iter.Seq[simpleindex.RootProject]) error {
			return simpleindex.RenderRootJSON(w, serial, list)
		})
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("pypi: render root: %w", err)
	}
	for name, e := range map[string]manifest.Entry{simpleindex.HTMLName: html, simpleindex.V1HTMLName: html, simpleindex.V1JSONName: asJSON} {
		e.Path = "simple/" + name
		s.files[e.Path] = manifest.Change{Entry: e}
	}
	return nil
}

// rootForm writes one form of the root page to disk as it is rendered: it may
// have 50 MB. It returns its entry without the path.
func (s *settler) rootForm(rows *manifest.Manifest, render func(io.Writer, iter.Seq[simpleindex.RootProject]) error) (manifest.Entry, error) {
	f, err := s.t.Create()
	if err != nil {
		return manifest.Entry{}, err
	}
	var failure error
	h := sha256.New()
	err = render(io.MultiWriter(f, h), func(yield func(simpleindex.RootProject) bool) {
		for row, err := range rows.All() {
			if failure = err; err != nil {
				return
			}
			if !isQuarantined(row) && !yield(simpleindex.RootProject{Name: display(row), LastSerial: row.Size}) {
				return
			}
		}
	})
	st, staterr := f.Stat()
	if err = errors.Join(err, failure, staterr); err != nil {
		return manifest.Entry{}, errors.Join(err, f.Discard())
	}
	e := manifest.Entry{Kind: manifest.Pointer, Size: st.Size(), Digest: manifest.Digest(h.Sum(nil))}
	return e, s.t.PutIndexFile(f, e.Digest)
}
