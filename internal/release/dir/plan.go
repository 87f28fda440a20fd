package dir

import (
	"maps"
	"slices"
	"strings"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// node is a directory that the next view builds anew.
type node struct {
	dirs  map[string]*node
	files map[string]*file
}

// file is what becomes of a name: new content, or nothing if gone.
type file struct {
	manifest.Entry
	gone bool
	hash bool // the path had other bytes before, so its size alone proves nothing
}

// plan is what leads from the view that is served to the next one.
type plan struct {
	next  *manifest.Manifest
	root  node
	drops map[string]manifest.Entry // objects that next does not name, but that clients may still ask for
	// foreign are objects of other mirrors that next names, and the generation that is served does not.
	foreign []manifest.Entry
	added   map[string]bool // files that the generation that is served does not name, where any drops wait
	pinned  bool            // drops are not only what the generation that is served names
}

// draw compares the generation that is served with the next one.
func (s *session) draw(cur *tree.Served, next *manifest.Manifest) (*plan, error) {
	old, err := s.manifestOf(cur)
	if err != nil {
		return nil, err
	}
	p := &plan{next: next, drops: map[string]manifest.Entry{}}
	if cur != nil {
		waiting, err := s.list("drops", cur.Number)
		if err != nil {
			return nil, err
		}
		if len(waiting) > 0 {
			p.added = map[string]bool{}
		}
	}
	for d, err := range manifest.Diff(old, next) {
		if err == nil {
			err = p.add(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, s.dropPinned(cur, p)
}

func (p *plan) add(d manifest.Delta) error {
	name := d.Path()
	if err := tree.CheckPath(name); err != nil {
		return err
	}
	if d.Old == nil && p.added != nil {
		p.added[name] = true
	}
	switch {
	case d.New == nil && d.Old.Kind == manifest.Row: // not a file
	case d.New == nil && !d.Old.Kind.IsIndex():
		p.drops[name] = *d.Old // its bytes stay in the view, or in that of the other mirror
	case d.New == nil:
		p.root.set(name, &file{gone: true})
	case d.Old != nil && d.Old.Digest == d.New.Digest: // another kind, the same bytes
	case d.New.Kind == manifest.Foreign:
		p.foreign = append(p.foreign, *d.New)
	case d.New.Kind != manifest.Row:
		p.root.set(name, &file{Entry: *d.New, hash: d.Old != nil})
	}
	return nil
}

// dropPinned also drops what generations name whose index clients preferred to
// the one that is served: apt keeps a newer Release than the one a rollback
// shows. With the next, still newer one, the waiting begins.
func (s *session) dropPinned(cur *tree.Served, p *plan) error {
	if cur == nil {
		return nil
	}
	all, err := s.records(cur.Number)
	if err != nil {
		return err
	}
	for _, pinned := range pins(all) {
		p.pinned = true
		old, err := s.manifestOf(&pinned.Served)
		if err != nil {
			return err
		}
		for d, err := range manifest.Diff(old, p.next) {
			if err != nil {
				return err
			}
			if d.New == nil && d.Old.Kind != manifest.Row && !d.Old.Kind.IsIndex() {
				p.drops[d.Old.Path] = *d.Old
			}
		}
	}
	return nil
}

// pins returns the generations before the last of which clients prefer a suite
// to the last one's.
func pins(all []record) []record {
	var out []record
	for _, r := range all {
		if r.Upstream.NewerThan(all[len(all)-1].Upstream) {
			out = append(out, r)
		}
	}
	return out
}

func (p *plan) dropLines() []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(p.drops)) {
		b = p.drops[name].AppendText(b)
	}
	return b
}

func (n *node) set(name string, f *file) {
	for {
		first, rest, below := strings.Cut(name, "/")
		if !below {
			if n.files == nil {
				n.files = map[string]*file{}
			}
			n.files[first] = f
			return
		}
		if n.dirs == nil {
			n.dirs = map[string]*node{}
		}
		if n.dirs[first] == nil {
			n.dirs[first] = &node{}
		}
		n, name = n.dirs[first], rest
	}
}
