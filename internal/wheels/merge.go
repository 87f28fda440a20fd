package wheels

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheel"
)

// renderer names the form of what is rendered; another form makes all pages anew.
const renderer = "1"

// merge collects the next generation.
type merge struct {
	ctx     context.Context
	cfg     Config
	t       *tree.Tree
	x       *Index
	w       *tree.PlanWriter
	entries map[string]manifest.Entry
}

// run collects the next generation unless it would be the same as base.
func (m *merge) run(base *tree.Generation) (changed bool, err error) {
	platforms, err := m.cfg.platforms()
	if err != nil {
		return false, err
	}
	rows := make([][]Row, len(platforms))
	for i, p := range platforms {
		if rows[i], err = m.cfg.Store.Survey(m.x, platforms, p.Name, true); err != nil {
			return false, err
		}
	}
	if err := m.notes(rows); err != nil {
		return false, err
	}
	n := note{Index: m.x.Generation.Number}
	if n.Print, err = m.print(rows); err != nil {
		return false, err
	}
	had, err := readNote(base)
	if err != nil || base != nil && had.Print == n.Print {
		return false, err
	}
	for i, p := range platforms {
		if err := m.platform(p.Name, rows[i]); err != nil {
			return false, err
		}
	}
	if base == nil && len(m.entries) == 0 {
		return false, nil
	}
	return true, m.put(base, n)
}

// notes tells of what is wanted and cannot be built: lines that nobody could
// read, sources that did not answer, pins that the index has nothing of.
func (m *merge) notes(rows [][]Row) error {
	info := m.w.Info()
	if m.cfg.Notes != nil {
		notes, err := m.cfg.Notes()
		if err != nil {
			return err
		}
		info.Deferred = append(info.Deferred, notes...)
	}
	without := map[Pin]bool{}
	for _, all := range rows {
		for _, r := range sortedRows(all) {
			if r.Class != NoSource || without[r.Pin] {
				continue
			}
			without[r.Pin] = true
			err := &fault.Error{Kind: fault.Gone, Op: "wheels: look for the source of", Subject: r.Pin.String(), Err: errors.New(r.Message),
				Advice: "let the index mirror have the project, or skip the pin"}
			info.Deferred = append(info.Deferred, tree.Note{Unit: r.Pin.String(), Kind: string(err.Kind), Error: err.Error(), Standing: true})
		}
	}
	return nil
}

// print is a digest of all that the pages follow from. A log that is written
// anew by another failure of the same sort is no reason for a generation.
func (m *merge) print(rows [][]Row) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "renderer %s index %s\n", renderer, m.cfg.Index)
	for _, all := range rows {
		for _, r := range sortedRows(all) {
			if r.Own != nil {
				e, _, err := m.x.entry(r.Name)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&b, "%s %s %s %s %s\n", r.Platform, r.Pin, r.File, r.Own.SHA256, e.Digest)
			}
			if r.State == Failed {
				fmt.Fprintf(&b, "%s %s %s\n", r.Platform, r.Pin, r.Class)
			}
		}
	}
	return digestOf([]byte(b.String())), nil
}

func sortedRows(rows []Row) []Row {
	out := slices.Clone(rows)
	slices.SortStableFunc(out, func(a, b Row) int { return strings.Compare(a.Pin.String(), b.Pin.String()) })
	return out
}

func (m *merge) platform(platform string, rows []Row) error {
	own := map[string][]Row{}
	for _, r := range sortedRows(rows) {
		if r.Own != nil {
			own[r.Name] = append(own[r.Name], r)
		}
		if r.Log != "" && (r.State == Built || r.State == Failed || r.State == Due) {
			if err := m.log(platform, r); err != nil {
				return err
			}
		}
	}
	for name, rows := range own {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		if err := m.page(platform, name, rows); err != nil {
			return fmt.Errorf("wheels: merge %s of %s: %w", name, platform, err)
		}
	}
	return nil
}

// page renders the page of a project: the index mirror's files and the own wheels.
func (m *merge) page(platform, name string, own []Row) error {
	page, err := m.x.Page(name)
	if err != nil {
		return err
	}
	p := simpleindex.Project{Name: name}
	if page != nil {
		p = *page
	}
	theirs := len(p.Files)
	if err := m.theirs(p.Files); err != nil {
		return err
	}
	p.Files = slices.Clone(p.Files)
	for _, r := range own {
		f, err := m.own(r.Own)
		if err != nil {
			return err
		}
		if from := source(page, r.Pin); from != nil {
			f.Yanked, f.YankedReason = from.Yanked, from.YankedReason
		}
		p.Files = append(p.Files, f)
		if !slices.Contains(p.Versions, r.Version) {
			p.Versions = append(slices.Clone(p.Versions), r.Version)
		}
	}
	mine := map[string]bool{}
	for _, f := range p.Files[theirs:] {
		mine[f.Filename] = true
	}
	o := simpleindex.RenderOptions{URL: func(f simpleindex.File) string {
		up := "../../../"
		if !mine[f.Filename] {
			up += "../" + m.cfg.Index + "/"
		}
		return up + (&url.URL{Path: objectPath(f)}).EscapedPath()
	}}
	dir := PageDir(platform, name)
	html := p.RenderHTML(o)
	return errors.Join(m.index(dir+"/"+simpleindex.HTMLName, html), m.index(dir+"/"+simpleindex.V1HTMLName, html),
		m.index(dir+"/"+simpleindex.V1JSONName, p.RenderJSON(o)))
}

// PageDir is the directory of a project's pages for a platform.
func PageDir(platform, project string) string {
	return platform + "/" + simpleindex.ProjectPath(project)
}

// LogPath is where the log of a pin's last build stands.
func LogPath(platform string, p Pin) string {
	return platform + "/logs/" + p.Name + "-" + p.Version + ".log"
}

// theirs refers to the index mirror's files.
func (m *merge) theirs(files []simpleindex.File) error {
	for _, f := range files {
		paths := []string{objectPath(f)}
		if f.CoreMetadata.Available {
			paths = append(paths, paths[0]+".metadata")
		}
		for _, p := range paths {
			e, ok, err := m.x.m.Lookup(p)
			if err == nil && !ok {
				err = &fault.Error{Kind: fault.Corrupt, Op: "wheels: refer to", Subject: p, Err: errors.New("the index mirror names it, and does not have it"),
					Advice: "verify the index mirror"}
			}
			if err != nil {
				return err
			}
			e.Kind, e.Path = manifest.Foreign, manifest.ForeignPath(m.cfg.Index, p)
			m.entries[e.Path] = e
		}
	}
	return nil
}

// own lays an own wheel and its METADATA into the tree.
func (m *merge) own(r *Record) (simpleindex.File, error) {
	f := simpleindex.File{Filename: r.File, SHA256: r.SHA256, Size: r.Size, UploadTime: r.At.Truncate(time.Second), RequiresPython: r.RequiresPython,
		CoreMetadata: simpleindex.CoreMetadata{Available: true, SHA256: r.Metadata}}
	wheelDigest, err := manifest.ParseDigest(r.SHA256)
	if err != nil {
		return f, err
	}
	metaDigest, err := manifest.ParseDigest(r.Metadata)
	if err != nil {
		return f, err
	}
	object := objectPath(f)
	m.entries[object] = manifest.Entry{Path: object, Kind: manifest.Object, Size: r.Size, Digest: wheelDigest}
	m.entries[object+".metadata"] = manifest.Entry{Path: object + ".metadata", Kind: manifest.Object, Size: r.MetadataSize, Digest: metaDigest}
	if err := m.cfg.Store.keep(m.t, r.SHA256); err != nil {
		return f, err
	}
	return f, m.metadata(r, metaDigest)
}

func (m *merge) metadata(r *Record, want manifest.Digest) error {
	if m.t.HasIndex(want, r.MetadataSize) {
		return nil
	}
	f, err := os.Open(m.cfg.Store.blob("built", r.SHA256))
	if err != nil {
		return fmt.Errorf("wheels: own wheel: %w", err)
	}
	defer f.Close()
	data, err := wheel.ReadMetadata(f, r.Size, r.File)
	if err != nil {
		return err
	}
	got, err := m.t.PutIndex(data)
	if err == nil && got != want {
		err = &fault.Error{Kind: fault.Corrupt, Op: "wheels: read metadata", Subject: r.File, Err: errors.New("it is not what was recorded"), Advice: "restore the state"}
	}
	return err
}

func (m *merge) log(platform string, r Row) error {
	data, err := os.ReadFile(m.cfg.Store.blob("logs", r.Log))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wheels: read log: %w", err)
	}
	return m.index(LogPath(platform, r.Pin), data)
}

func (m *merge) index(path string, data []byte) error {
	d, err := m.t.PutIndex(data)
	m.entries[path] = manifest.Entry{Path: path, Kind: manifest.Index2, Size: int64(len(data)), Digest: d}
	return err
}
