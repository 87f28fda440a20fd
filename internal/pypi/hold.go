package pypi

import (
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// Hold makes the next generation of the committed one, with these projects as
// the generation to has them; without them where that has none, or is nil. The
// next plan asks for them again.
func (e *Engine) Hold(t *tree.Tree, to *tree.Generation, projects []string) (tree.CommitRequest, error) {
	s := settler{t: t, files: map[string]manifest.Change{}, rows: map[string]manifest.Change{}, objects: map[string]manifest.Change{}}
	old := before{t: t}
	err := errors.Join(s.read(), old.read(to))
	if err != nil {
		return tree.CommitRequest{}, err
	}
	for _, name := range projects {
		if err := s.restore(name, &old); err != nil {
			return tree.CommitRequest{}, err
		}
	}
	st, err := readState(s.base)
	if err != nil {
		return tree.CommitRequest{}, err
	}
	st.ETag, st.LastModified = "", "" // the next plan finds them
	return s.edited(st, s.base.Upstream)
}

// before is an older generation.
type before struct {
	t                   *tree.Tree
	files, rows, object *manifest.Manifest
}

func (b *before) read(g *tree.Generation) (err error) {
	if b.files, err = b.t.ManifestOf(g); err != nil {
		return err
	}
	if b.rows, err = b.t.Table(g, projectsTable); err != nil {
		return err
	}
	b.object, err = b.t.Table(g, objectsTable)
	return err
}

// restore takes a project back to what it was.
func (s *settler) restore(name string, old *before) error {
	now, err := objectsOf(s.wasObjects, name)
	if err != nil {
		return err
	}
	then, err := objectsOf(old.object, name)
	if err != nil {
		return err
	}
	for _, e := range then {
		if size, there, err := s.t.Stat(e.Path); err != nil || !there || size != e.Size {
			return errors.Join(err, &fault.Error{Kind: fault.Gone, Op: "pypi: hold project", Subject: name, Err: fmt.Errorf("%s is not in the tree any more", e.Path),
				Advice: "starter verify says what is wrong with the newest generation"})
		}
		if now[e.Path] != e {
			s.name(name, e)
		}
	}
	for _, e := range now {
		if _, stays := then[e.Path]; stays {
			continue
		}
		if err := s.drop(name, e); err != nil {
			return err
		}
	}
	return errors.Join(s.restoreRow(name, old), s.restorePages(name, old))
}

func (s *settler) restoreRow(name string, old *before) error {
	row, ok, err := old.rows.Lookup(name)
	if ok {
		note := readNote(row)
		note.Retry = true
		row.Note = note.String()
		s.rows[name] = manifest.Change{Entry: row}
	} else {
		s.rows[name] = manifest.Change{Entry: manifest.Entry{Path: name}, Remove: true}
	}
	return err
}

func (s *settler) restorePages(name string, old *before) error {
	if err := s.unpage(name); err != nil {
		return err
	}
	for _, file := range []string{simpleindex.HTMLName, simpleindex.V1HTMLName, simpleindex.V1JSONName} {
		e, ok, err := old.files.Lookup(simpleindex.ProjectPath(name) + "/" + file)
		if err != nil {
			return err
		}
		if ok {
			s.files[e.Path] = manifest.Change{Entry: e}
		}
	}
	return nil
}
