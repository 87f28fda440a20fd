package mirror

import "mirrorcycle/internal/tree"

// Why explains one path of a mirror.
type Why struct {
	Path      string `json:"path"`
	Named     bool   `json:"named"`          // by the newest generation
	Kind      string `json:"kind,omitempty"` // object or index
	Size      int64  `json:"size,omitempty"` // bytes
	SHA256    string `json:"sha256,omitempty"`
	InTree    bool   `json:"in_tree"`
	DroppedBy int64  `json:"dropped_by,omitempty"` // generation that let go of it, if it is retained
	Since     int64  `json:"since,omitempty"`      // oldest kept generation that names it as it is
	Lacks     string `json:"lacks,omitempty"`      // why a file that upstream lists is not on its page, or is what it was
}

// why reads what the state knows of a path.
func why(t *tree.Tree, path string) (*Why, error) {
	w := &Why{Path: path}
	size, there, err := t.Stat(path)
	if err != nil {
		return nil, err
	}
	w.InTree, w.Size = there, size
	g, err := t.Committed()
	if err != nil {
		return nil, err
	}
	m, err := t.ManifestOf(g)
	if err != nil {
		return nil, err
	}
	e, named, err := m.Lookup(path)
	if err != nil {
		return nil, err
	}
	if !named {
		drops, err := t.Drops()
		if err != nil {
			return nil, err
		}
		for _, n := range drops {
			for d, err := range t.DropsOf(n) {
				if err != nil {
					return nil, err
				}
				if d.Path == path {
					w.DroppedBy, w.SHA256, w.Kind = n, d.Digest.String(), "object"
				}
			}
		}
		return w, nil
	}
	w.Named, w.Size, w.SHA256, w.Kind = true, e.Size, e.Digest.String(), "object"
	if e.Kind.IsIndex() {
		w.Kind = "index"
	}
	all, err := t.Generations()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		old, err := t.Generation(n)
		if err != nil {
			return nil, err
		}
		om, err := t.ManifestOf(old)
		if err != nil {
			return nil, err
		}
		if oe, ok, err := om.Lookup(path); err != nil {
			return nil, err
		} else if ok && oe == e {
			w.Since = n
			break
		}
	}
	return w, nil
}
