package mirror

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/afs"
	"mirrorcycle/internal/tree"
)

// precheck refuses shards of a plan that would fill the disk, before their
// first byte. What an earlier run brought needs no room any more.
func (m *Mirror) precheck(ctx context.Context, p *tree.Plan, from, to int) error {
	free, err := m.room(ctx)
	st := m.Storage
	if err != nil || free >= p.Info.Bytes+int64(st.MinFree) {
		return err
	}
	need := int64(st.MinFree)
	for shard := from; shard < to; shard++ {
		lacking, err := p.Lacking(shard)
		if err != nil {
			return err
		}
		need += lacking
	}
	if free >= need {
		return nil
	}
	return &fault.Error{Kind: fault.NoSpace, Op: "tree: plan", Subject: m.t.Dir(),
		Err:    fmt.Errorf("%d bytes to fetch and %d to keep free, %d are free", need-int64(st.MinFree), st.MinFree, free),
		Advice: "free space, mirror less, raise the volume's quota if it has one, or lower storage.min-free"}
}

// room is how many bytes may still be written to a tree. The file system of an
// AFS client cannot say; the volume's quota and its partition do.
func (m *Mirror) room(ctx context.Context) (int64, error) {
	if m.AFS == nil {
		return m.t.Free()
	}
	return release.Sites(m.Volume(nil, m.t.ID().Tree)).Room(ctx)
}

// fits refuses paths that an AFS directory has no room for, before their first byte.
func (m *Mirror) fits(ctx context.Context, added iter.Seq2[string, error]) error {
	if m.AFS == nil {
		return nil
	}
	g, err := m.t.Committed()
	if err != nil {
		return err
	}
	now, err := m.t.ManifestOf(g)
	if err != nil {
		return err
	}
	retained, err := m.t.Retained()
	if err != nil {
		return err
	}
	return afs.Fit(now, retained, added)
}

// planned yields what a plan fetches and the tree does not hold.
func planned(p *tree.Plan) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for shard := range p.Info.Shards {
			for it, err := range p.Items(shard) {
				if !yield(it.Path, err) || err != nil {
					return
				}
			}
		}
	}
}

// settled yields the paths that a commit adds to the tree.
func settled(t *tree.Tree, req tree.CommitRequest) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		g, err := t.Committed()
		if err != nil {
			yield("", err)
			return
		}
		now, err := t.ManifestOf(g)
		if err != nil {
			yield("", err)
			return
		}
		for d, err := range manifest.Diff(now, req.Manifest) {
			if err == nil && (d.Old != nil || !d.New.Kind.IsIndex()) {
				continue // the objects have landed
			}
			if !yield(d.Path(), err) || err != nil {
				return
			}
		}
	}
}

const maxNotes, maxNote = 200, 600

// few bounds a list that crosses Temporal, which refuses large results: when
// a whole index cannot be read, every project of it has a note.
func few[T any](all []T) []T { return all[:min(len(all), maxNotes)] }

// Told bounds notes that cross Temporal, in number and in length.
func Told(all []tree.Note) []tree.Note {
	all = few(all)
	for i := range all {
		if n := &all[i]; len(n.Error) > maxNote {
			n.Error = strings.ToValidUTF8(n.Error[:maxNote], "") + " …"
		}
	}
	return all
}
