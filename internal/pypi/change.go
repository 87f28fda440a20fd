package pypi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// change writes one project's change into the plan: what to fetch, what is let go.
func (p *planner) change(c change) error {
	had, err := objectsOf(p.objects, c.Name)
	if err != nil {
		return err
	}
	quarantined := !c.Gone && c.Project.Status == simpleindex.Quarantined
	if quarantined {
		c.Project.Files, c.Project.Versions, c.Project.Refused = nil, nil, nil
	}
	mirrored := map[string]bool{}
	for object := range had {
		mirrored[path.Base(object)] = true
	}
	c.Spared = slices.DeleteFunc(c.Spared, func(name string) bool { return !mirrored[name] })
	f, err := p.files(&c, had)
	if err != nil {
		return err
	}
	if p.e.spare && len(had) > 0 && !quarantined {
		return &fault.Error{Kind: fault.Early, Op: "pypi: plan project", Subject: c.Name, Err: fmt.Errorf("%d files of it would go", len(had)),
			Advice: "the project keeps its page until a person approves the removals"}
	}
	for _, it := range f.items {
		if err := p.w.Fetch(it); err != nil {
			return err
		}
	}
	p.planned[c.Name] = true
	if err := p.tell(c.Name, &c.Lacks); err != nil {
		return err
	}
	info := p.w.Info()
	info.Changed = true
	info.Adds += f.adds
	info.Refused += int64(c.Lacks.Refused)
	for _, e := range sortedByPath(had) { // what files did not take out is no longer named
		if err := p.w.Drop(e.Path); err != nil {
			return err
		}
		if quarantined {
			info.Urgent++
		}
	}
	if quarantined && len(had) > 0 {
		info.UrgentUnits++
	}
	info.IndexChanges += 3
	return p.write(c)
}

func (p *planner) write(c change) (err error) {
	if p.out == nil {
		if p.out, err = p.w.Create(changesFile); err != nil {
			return err
		}
	}
	return json.NewEncoder(p.out).Encode(c)
}

// tell notes what is refused of a project, as known if its row says the same.
func (p *planner) tell(name string, l *lacks) error {
	note, ok := l.note(name)
	if !ok {
		return nil
	}
	row, _, err := p.rows.Lookup(name)
	if err != nil {
		return err
	}
	if old := readNote(row).Lacks; old != nil {
		before, _ := old.note(name)
		note.Known = before == note
	}
	p.w.Info().Deferred = append(p.w.Info().Deferred, note)
	return nil
}

// files says which files of the project the tree lacks, and takes those that stay
// named out of had. A file that cannot be believed is left off its page; one that
// is mirrored already stays what it was: the same name with other bytes, above all.
func (p *planner) files(c *change, had map[string]manifest.Entry) (*filer, error) {
	f := &filer{p: p, c: c, had: had, names: map[string]manifest.Entry{}}
	if c.Gone {
		return f, nil
	}
	for _, e := range had {
		f.names[path.Base(e.Path)] = e
	}
	for _, file := range c.Project.Files {
		if err := f.file(file); err != nil {
			return nil, err
		}
	}
	for _, r := range c.Project.Refused {
		if err := f.refuse(r.Filename, r.Err); err != nil {
			return nil, err
		}
	}
	c.Project.Files, c.Project.Refused, c.Lacks = f.keep, nil, f.lacks
	for _, file := range f.keep {
		if _, ok := had[objectPath(file)]; !ok {
			f.adds++
		}
		delete(had, objectPath(file))
		delete(had, objectPath(file)+".metadata")
	}
	return f, nil
}

// filer goes through the files of a project.
type filer struct {
	p     *planner
	c     *change
	had   map[string]manifest.Entry
	names map[string]manifest.Entry // had by file name
	old   map[string]simpleindex.File
	keep  []simpleindex.File
	items []tree.Item
	adds  int64
	lacks lacks
}

func (f *filer) file(file simpleindex.File) error {
	if err := owned(f.c.Name, file); err != nil {
		return f.refuse(file.Filename, err)
	}
	if was, ok := f.names[file.Filename]; ok && was.Digest.String() != file.SHA256 {
		return f.refuse(file.Filename, conflict(file, was.Digest.String()))
	}
	object := objectPath(file)
	if err := tree.CheckPath(object); err != nil {
		return f.refuse(file.Filename, err)
	}
	there, err := f.p.there(object, file, f.had)
	if errors.Is(err, fault.Conflict) {
		return f.refuse(file.Filename, err)
	}
	if err != nil {
		return err
	}
	if !there {
		size, kept := f.p.kept[file.SHA256]
		if kept {
			file.Size = size
		}
		if file.Size > maxFile {
			file.Size = -1 // what is claimed needs room, and nobody has to believe it
		}
		f.items = append(f.items, tree.Item{Path: object, Size: file.Size, Loose: true, SHA256: file.SHA256, Source: file.URL, Unit: f.c.Name,
			Metadata: strings.HasSuffix(file.Filename, ".whl"), Kept: kept})
	}
	f.keep = append(f.keep, file)
	return nil
}

// refuse leaves a file off its page or, if it is mirrored, as it is.
func (f *filer) refuse(name string, why error) error {
	f.lacks.refuse(name, &fault.Error{Kind: fault.KindOf(why), Op: "pypi: plan file of", Subject: "simple/" + f.c.Name + "/", Err: why,
		Advice: "the file is left off its page, or stays what it was; tell upstream"})
	was, ok := f.names[name]
	if !ok || strings.HasSuffix(name, ".metadata") {
		return nil
	}
	if f.old == nil {
		var err error
		if f.old, err = f.p.page(f.c.Name); err != nil {
			return err
		}
	}
	if old, ok := f.old[name]; ok && old.SHA256 == was.Digest.String() {
		f.keep = append(f.keep, old)
	}
	return nil
}

// page reads the files of a project's page as it is mirrored, by name.
func (p *planner) page(name string) (map[string]simpleindex.File, error) {
	return mirroredPage(p.t, p.base, name)
}

// anyHost stands for the region in the URLs of a page, which are relative.
const anyHost = "http://mirror.example.org/"

// mirroredPage reads the files of a project's page in a generation, by name. There
// are none if there is no such page.
func mirroredPage(t *tree.Tree, g *tree.Generation, name string) (map[string]simpleindex.File, error) {
	out := map[string]simpleindex.File{}
	m, err := t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	dir := simpleindex.ProjectPath(name)
	e, ok, err := m.Lookup(dir + "/" + simpleindex.V1JSONName)
	if err != nil || !ok {
		return out, err
	}
	in, err := t.OpenIndex(e.Digest)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxRoot))
	if err != nil {
		return nil, fmt.Errorf("pypi: read page of %s: %w", name, err)
	}
	page, err := simpleindex.ParseProject(data, name, anyHost+dir+"/")
	if err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "pypi: read page", Subject: e.Path, Err: err, Advice: "verify the mirror"}
	}
	for _, f := range page.Files {
		out[f.Filename] = f
	}
	return out, nil
}

// there reports whether the tree holds a file, named or retained. A retained
// one is looked for, because a reaping may have been cut short.
func (p *planner) there(object string, f simpleindex.File, had map[string]manifest.Entry) (bool, error) {
	held, ok, err := p.w.Held(object)
	switch {
	case err != nil || !ok:
		return false, err
	case held.Digest.String() != f.SHA256:
		return false, conflict(f, held.Digest.String())
	}
	if _, named := had[object]; named {
		return true, nil
	}
	size, ok, err := p.t.Stat(object)
	return ok && size == held.Size, err
}

func conflict(f simpleindex.File, was string) error {
	return &fault.Error{Kind: fault.Conflict, Op: "pypi: compare", Subject: f.URL,
		Err: fmt.Errorf("%s was mirrored with SHA-256 %s, upstream now says %s, and a released file never changes", f.Filename, was, f.SHA256)}
}

// objectsOf returns the objects of a project by path.
func objectsOf(objects *manifest.Manifest, project string) (map[string]manifest.Entry, error) {
	out := map[string]manifest.Entry{}
	for e, err := range objects.Under(project + "/") {
		if err != nil {
			return nil, err
		}
		e.Path = strings.TrimPrefix(e.Path, project+"/")
		out[e.Path] = e
	}
	return out, nil
}

func sortedByPath(m map[string]manifest.Entry) []manifest.Entry {
	out := make([]manifest.Entry, 0, len(m))
	for _, e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, manifest.Compare)
	return out
}
