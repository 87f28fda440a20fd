package pypi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// Settle renders the pages of the changed projects and makes the next
// generation of a fetched plan. A file that could not be had is left off its
// page, noted, and asked for again by the next plan. A page that would let older
// versions go for one of which no file could be had keeps them beside what is there.
func (e *Engine) Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error) {
	s := settler{t: t, render: e.render, now: e.cfg.Now, files: map[string]manifest.Change{}, rows: map[string]manifest.Change{}, objects: map[string]manifest.Change{}}
	if err := s.open(p); err != nil {
		return tree.CommitRequest{}, nil, err
	}
	for c, err := range changes(p) {
		if err == nil {
			err = errors.Join(ctx.Err(), s.project(c))
		}
		if err != nil {
			return tree.CommitRequest{}, s.notes, err
		}
	}
	req, err := s.request(p)
	return req, s.notes, err
}

// settler collects the changes of the manifest and of the two tables.
type settler struct {
	t                    *tree.Tree
	render               func(*simpleindex.Project) rendered
	held                 bool // a project stays as it is because of its page
	now                  func() time.Time
	base                 *tree.Generation
	was                  *manifest.Manifest
	wasRows, wasObjects  *manifest.Manifest
	landed               map[string]tree.Result
	files, rows, objects map[string]manifest.Change
	retained             map[string]manifest.Entry // read when first asked for
	notes                []tree.Note
}

// read opens the committed generation.
func (s *settler) read() (err error) {
	if s.base, err = s.t.Committed(); err != nil {
		return err
	}
	if s.was, err = s.t.ManifestOf(s.base); err != nil {
		return err
	}
	if s.wasRows, err = s.t.Table(s.base, projectsTable); err != nil {
		return err
	}
	s.wasObjects, err = s.t.Table(s.base, objectsTable)
	return err
}

func (s *settler) open(p *tree.Plan) error {
	if err := s.read(); err != nil {
		return err
	}
	s.landed = map[string]tree.Result{}
	for shard := range p.Info.Shards {
		for r, err := range p.Results(shard) {
			if err != nil {
				return err
			}
			s.landed[r.Path] = r
		}
	}
	return nil
}

func changes(p *tree.Plan) iter.Seq2[change, error] {
	return func(yield func(change, error) bool) {
		f, err := p.Open(changesFile)
		if err != nil {
			yield(change{}, err)
			return
		}
		defer f.Close()
		dec := json.NewDecoder(bufio.NewReader(f))
		for {
			var c change
			err := dec.Decode(&c)
			if errors.Is(err, io.EOF) || !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// project settles one project.
func (s *settler) project(c change) error {
	had, err := objectsOf(s.wasObjects, c.Name)
	if err != nil {
		return err
	}
	var files []simpleindex.File
	var objects []manifest.Entry
	row, _, err := s.wasRows.Lookup(c.Name)
	if err != nil {
		return err
	}
	l, told := c.Lacks, readNote(row).Lacks
	if !c.Gone {
		if files, objects, err = s.landings(c, had, &l, told); err != nil {
			return err
		}
		if files, objects, err = s.spare(c, had, told, files, objects); err != nil {
			return err
		}
		if swaps(c, files, had, &l, told) {
			return s.wait(c.Name, &l)
		}
	}
	pages, ok, err := s.ready(c, files, objects)
	if err != nil || !ok {
		return errors.Join(err, s.wait(c.Name, &l))
	}
	if err := s.dropAllBut(c.Name, objects, had); err != nil {
		return err
	}
	if c.Gone {
		s.rows[c.Name] = manifest.Change{Entry: manifest.Entry{Path: c.Name}, Remove: true}
		return s.unpage(c.Name)
	}
	for _, e := range objects {
		if had[e.Path] != e { // else manifest and table have it as it is
			s.name(c.Name, e)
		}
	}
	return errors.Join(s.row(c, &l), s.page(c.Name, pages))
}

// times gives the files of which upstream does not say when they were uploaded
// the time when the mirror had them first.
func (s *settler) times(p *simpleindex.Project) error {
	var was map[string]simpleindex.File
	for i := range p.Files {
		f := &p.Files[i]
		if !f.UploadTime.IsZero() {
			continue
		}
		if was == nil {
			var err error
			if was, err = mirroredPage(s.t, s.base, p.Name); err != nil {
				return err
			}
		}
		if f.UploadTime = was[f.Filename].UploadTime; f.UploadTime.IsZero() || was[f.Filename].SHA256 != f.SHA256 {
			f.UploadTime = s.now().UTC().Truncate(time.Second)
		}
	}
	return nil
}

// landings are those files of a project that are there, and their objects.
// What is not there is added to l; told is what was not there before.
func (s *settler) landings(c change, had map[string]manifest.Entry, l, told *lacks) (files []simpleindex.File, objects []manifest.Entry, err error) {
	for _, f := range c.Project.Files {
		entries, err := s.entries(f, had)
		if err != nil {
			return nil, nil, err
		}
		if entries == nil {
			n := s.lacking(c.Name, objectPath(f))
			l.miss(f.Filename, fault.Kind(n.Kind))
			n.Standing = lasting(fault.Kind(n.Kind))
			n.Known = n.Standing && told.misses(f.Filename)
			s.notes = append(s.notes, n)
			continue
		}
		f.Size = entries[0].Size // what landed knows
		f.CoreMetadata = simpleindex.CoreMetadata{}
		for _, e := range entries {
			if e.Path != objectPath(f) {
				f.CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: e.Digest.String()}
			}
		}
		files, objects = append(files, f), append(objects, entries...)
	}
	return files, objects, nil
}

// wait leaves a project as it is, and has the next plan ask again.
func (s *settler) wait(name string, l *lacks) error {
	row, ok, err := s.wasRows.Lookup(name)
	if err != nil || !ok {
		return err
	}
	note := readNote(row)
	note.Retry, note.Lacks = true, l
	row.Note = note.String()
	s.rows[name] = manifest.Change{Entry: row}
	return nil
}

// entries returns the object of a file and its metadata, nil if it is not there.
func (s *settler) entries(f simpleindex.File, had map[string]manifest.Entry) ([]manifest.Entry, error) {
	object := objectPath(f)
	main, ok, err := s.entry(object, had)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, nil
	}
	out := []manifest.Entry{main}
	if meta, ok, err := s.entry(object+".metadata", had); err != nil {
		return nil, err
	} else if ok {
		out = append(out, meta)
	}
	return out, nil
}

// lacking says why a file is left off its page.
func (s *settler) lacking(project, object string) tree.Note {
	if r := s.landed[object]; r.Error != "" {
		return tree.Note{Unit: project, Kind: r.Kind, Error: r.Error}
	}
	err := &fault.Error{Kind: fault.Gone, Op: "pypi: settle file", Subject: object, Err: errors.New("it was neither kept nor fetched"),
		Advice: "nothing to do: the next cycle fetches it"}
	return tree.Note{Unit: project, Kind: string(err.Kind), Error: err.Error()}
}

// entry finds an object that was fetched now, was named before, or is retained.
func (s *settler) entry(path string, had map[string]manifest.Entry) (e manifest.Entry, ok bool, err error) {
	if r, ok := s.landed[path]; ok {
		if r.Error != "" {
			return manifest.Entry{}, false, nil
		}
		d, err := manifest.ParseDigest(r.SHA256)
		return manifest.Entry{Path: path, Kind: manifest.Object, Size: r.Size, Digest: d}, err == nil, err
	}
	if e, ok := had[path]; ok {
		return e, true, nil
	}
	if e, ok, err := s.was.Lookup(path); ok || err != nil {
		return e, ok, err
	}
	if s.retained == nil {
		if s.retained, err = s.t.Retained(); err != nil {
			return manifest.Entry{}, false, err
		}
	}
	if e, ok = s.retained[path]; !ok {
		return e, false, nil
	}
	size, ok, err := s.t.Stat(path) // a reaping may have been cut short
	return e, ok && size == e.Size, err
}

// dropAllBut drops those of had that are not among objects.
func (s *settler) dropAllBut(project string, objects []manifest.Entry, had map[string]manifest.Entry) error {
	again := map[string]bool{}
	for _, e := range objects {
		again[e.Path] = true
	}
	for _, e := range had {
		if again[e.Path] {
			continue
		}
		if err := s.drop(project, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *settler) drop(project string, e manifest.Entry) error {
	if shared, err := s.shared(project, e.Path); err != nil {
		return err
	} else if !shared {
		s.files[e.Path] = manifest.Change{Entry: e, Remove: true}
	}
	row := e
	row.Path = project + "/" + e.Path
	s.objects[row.Path] = manifest.Change{Entry: row, Remove: true}
	return nil
}

// shared reports whether another project names the object too, which no honest
// upstream does.
func (s *settler) shared(project, object string) (bool, error) {
	for _, other := range owners(object, project) {
		row := other + "/" + object
		if c, ok := s.objects[row]; ok {
			if !c.Remove {
				return true, nil
			}
			continue
		}
		if _, ok, err := s.wasObjects.Lookup(row); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (s *settler) name(project string, e manifest.Entry) {
	s.files[e.Path] = manifest.Change{Entry: e}
	row := e
	row.Path = project + "/" + e.Path
	s.objects[row.Path] = manifest.Change{Entry: row}
}

func (s *settler) row(c change, l *lacks) error {
	d, err := manifest.ParseDigest(c.Digest)
	if err != nil {
		return err
	}
	note := rowNote{ETag: c.ETag, Retry: l.Missing > 0, Pick: c.Pick}
	if !l.none() {
		note.Lacks = l
	}
	if c.Display != c.Name {
		note.Name = c.Display
	}
	if c.Project.Status != simpleindex.Active {
		note.State = c.Project.Status
	}
	s.rows[c.Name] = manifest.Change{Entry: manifest.Entry{Path: c.Name, Kind: manifest.Row, Size: c.Serial, Digest: d, Note: note.String()}}
	return nil
}
