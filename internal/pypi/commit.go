package pypi

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// request edits the tables and the manifest, the root pages last.
func (s *settler) request(p *tree.Plan) (tree.CommitRequest, error) {
	rows, err := manifest.Edit(s.wasRows, sorted(s.rows))
	if err != nil {
		return tree.CommitRequest{}, err
	}
	next, err := manifest.Edit(s.was, sorted(s.files))
	if err != nil {
		return tree.CommitRequest{}, err
	}
	st, err := s.state(p)
	if err != nil || next.ID() == s.was.ID() && rows.ID() == s.wasRows.ID() && s.sameConfig(st) {
		return tree.CommitRequest{}, err // what was missing is missing still
	}
	return s.edited(st, p.Info.Upstream)
}

// edited is the request for a generation with what was collected, and a root page of it.
func (s *settler) edited(st state, up tree.Upstream) (req tree.CommitRequest, err error) {
	rows, err := manifest.Edit(s.wasRows, sorted(s.rows))
	if err != nil {
		return req, err
	}
	objects, err := manifest.Edit(s.wasObjects, sorted(s.objects))
	if err != nil {
		return req, err
	}
	if err := s.root(rows, st.Serial); err != nil {
		return req, err
	}
	next, err := manifest.Edit(s.was, sorted(s.files))
	if err != nil {
		return req, err
	}
	engine, err := json.Marshal(st)
	up.Serial = st.Serial
	return tree.CommitRequest{Manifest: next, Engine: engine, Upstream: up,
		Aux: map[string]manifest.ID{projectsTable: rows.ID(), objectsTable: objects.ID()}}, err
}

// state is the plan's, with the serial to be published: upstream's, or the
// greatest of a project, and never below one that was.
func (s *settler) state(p *tree.Plan) (st state, err error) {
	f, err := p.Open(stateFile)
	if err != nil {
		return st, err
	}
	defer f.Close()
	if err := json.NewDecoder(f).Decode(&st); err != nil {
		return st, &fault.Error{Kind: fault.Corrupt, Op: "pypi: settle", Subject: stateFile, Err: err, Advice: "nothing to do: the next cycle plans anew"}
	}
	if s.held {
		st.ETag, st.LastModified = "", "" // the next plan finds it again
	}
	old, err := readState(s.base)
	if err != nil {
		return st, err
	}
	st.Serial = max(st.Serial, old.Serial) // which is no less than that of any row that stays
	for _, c := range s.rows {
		if !c.Remove {
			st.Serial = max(st.Serial, c.Entry.Size)
		}
	}
	return st, nil
}

// sameConfig reports whether the base was made by the same configuration as
// the state of the plan.
func (s *settler) sameConfig(next state) bool {
	old, err := readState(s.base)
	return err == nil && old.Config == next.Config && old.Selection == next.Selection
}

func sorted(m map[string]manifest.Change) iter.Seq2[manifest.Change, error] {
	return func(yield func(manifest.Change, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(m[k], nil) {
				return
			}
		}
	}
}
