package yum

import (
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// loss is an object that a repository names and cannot have.
type loss struct {
	path, kind, text string
	signature        bool // it is there, and its signature is not good: only other keys change that
}

// tolerated is how many packages of a repository may be left out: one in
// twenty, but at least 10, at most 500, and never more than half. More is no odd
// package but an upstream in trouble.
func tolerated(packages int64) int64 { return min(max(10, packages/20), 500, packages/2) }

func isDelta(p string) bool { return path.Ext(p) == ".drpm" }

// spares reports whether an object may be left out alone. Clients do without
// deltas, so they are always spared; packages if the spec says so. What cannot
// be had only at the moment is waited for.
func (e *Engine) spares(p string, kind fault.Kind) bool {
	if strings.Contains("/"+p, "/repodata/") || !e.cfg.Tolerate && !isDelta(p) {
		return false
	}
	switch kind {
	case fault.Gone, fault.Denied, fault.Unproved, fault.Conflict, fault.Malformed:
		return true
	}
	return false
}

// spare takes what is lost out of the planned repositories, and tells of it. A
// repository that would then be what it is already leaves the plans, and so does
// one that lost too much.
func (e *Engine) spare(t *tree.Tree, plans []*repoPlan, lost map[string][]loss, old state) (out []*repoPlan, notes []tree.Note, err error) {
	for _, p := range plans {
		losses := lost[p.Repo]
		if len(losses) == 0 {
			out = append(out, p)
			continue
		}
		packages, err := p.packagesLost(t, losses)
		if err != nil {
			return nil, nil, err
		}
		if most := tolerated(p.State.Packages); packages > most {
			notes = append(notes, tree.Note{Unit: p.Repo, Kind: losses[0].kind,
				Error: fmt.Sprintf("yum: settle %s: %d packages cannot be had, more than the %d that are tolerated; the first: %s", p.Repo, packages, most, losses[0].text)})
			continue
		}
		if err := p.without(t, losses); err != nil {
			return nil, nil, err
		}
		more := newNotes(p.Repo, losses, old.Repos[p.Repo].Notes)
		p.State.Notes, notes = append(p.State.Notes, more...), append(notes, more...)
		if !p.State.same(old.Repos[p.Repo]) {
			out = append(out, p)
		}
	}
	return out, notes, nil
}

// same reports whether both name the same, and mirror it alike.
func (s repoState) same(o repoState) bool {
	return s.Table == o.Table && s.Digest == o.Digest && s.Config == o.Config && s.Keys == o.Keys && s.Asc == o.Asc
}

// packagesLost counts the packages that p would lack: these, and those that it lacks already.
func (p *repoPlan) packagesLost(t *tree.Tree, losses []loss) (n int64, err error) {
	missing, err := openTable(t, p.State.Missing)
	if err != nil {
		return 0, err
	}
	for e, err := range missing.All() {
		if err != nil {
			return 0, err
		}
		if !isDelta(e.Path) {
			n++
		}
	}
	for _, l := range losses {
		if !isDelta(l.path) {
			n++
		}
	}
	return n, nil
}

// newNotes tells of each package, and of deltas once. What the last generation
// told already is known.
func newNotes(repo string, losses []loss, told []tree.Note) (out []tree.Note) {
	deltas := 0
	for _, l := range losses {
		if isDelta(l.path) {
			deltas++
			continue
		}
		out = append(out, tree.Note{Unit: repo, Kind: l.kind, Error: fmt.Sprintf("%s is left out: %s", l.path, l.text), Standing: true})
	}
	if deltas > 0 {
		out = append(out, tree.Note{Unit: repo, Kind: string(fault.Gone), Standing: true,
			Error: fmt.Sprintf("%d deltas are left out, since upstream does not have what it lists; clients download the packages", deltas)})
	}
	for i, n := range out {
		out[i].Known = slices.ContainsFunc(told, func(o tree.Note) bool { return o.Error == n.Error })
	}
	return out
}

// without takes objects out of the repository's table and keeps them in its
// table of what is missing, where later cycles look for them again.
func (p *repoPlan) without(t *tree.Tree, losses []loss) error {
	table, err := openTable(t, p.State.Table)
	if err != nil {
		return err
	}
	was, err := openTable(t, p.State.Missing)
	if err != nil {
		return err
	}
	var gone []manifest.Entry
	for _, l := range losses {
		e, ok, err := table.Lookup(l.path)
		if err != nil {
			return err
		}
		if ok {
			gone = append(gone, e)
		}
		if l.signature {
			p.State.Unproved = append(p.State.Unproved, l.path)
		}
	}
	slices.SortFunc(gone, manifest.Compare)
	gone = slices.Compact(gone)
	rest, err := manifest.Edit(table, changesTo(gone, true))
	if err != nil {
		return err
	}
	missing, err := manifest.Edit(was, changesTo(gone, false))
	if err != nil {
		return err
	}
	p.State.Table, p.State.Missing = rest.ID().String(), missing.ID().String()
	return nil
}

func changesTo(entries []manifest.Entry, remove bool) iter.Seq2[manifest.Change, error] {
	return func(yield func(manifest.Change, error) bool) {
		for _, e := range entries {
			if !yield(manifest.Change{Entry: e, Remove: remove}, nil) {
				return
			}
		}
	}
}

// lookAgain plans a repository whose repomd.xml stands still for what was
// missing of it, nil if nothing of that can have changed. Packages without a
// good signature are fetched again only for other keys.
func (e *Engine) lookAgain(t *tree.Tree, dir string, old repoState, keys string) (*repoPlan, error) {
	table, err := openTable(t, old.Table)
	if err != nil {
		return nil, err
	}
	missing, err := openTable(t, old.Missing)
	if err != nil {
		return nil, err
	}
	var again []manifest.Entry
	for m, err := range missing.All() {
		if err != nil {
			return nil, err
		}
		if keys != old.Keys || !slices.Contains(old.Unproved, m.Path) {
			again = append(again, m)
		}
	}
	if len(again) == 0 {
		return nil, nil
	}
	whole, err := manifest.Edit(table, changesTo(again, false))
	if err != nil {
		return nil, err
	}
	rest, err := manifest.Edit(missing, changesTo(again, true))
	if err != nil {
		return nil, err
	}
	p := &repoPlan{Repo: dir, State: old}
	p.State.Table, p.State.Keys, p.State.Missing = whole.ID().String(), keys, ""
	if rest.Totals().Objects > 0 {
		p.State.Missing = rest.ID().String()
	}
	p.State.Notes = known(slices.DeleteFunc(slices.Clone(old.Notes), func(n tree.Note) bool {
		at, _, one := strings.Cut(n.Error, " is left out: ")
		return !one || slices.ContainsFunc(again, func(m manifest.Entry) bool { return m.Path == at })
	}))
	p.State.Unproved = slices.DeleteFunc(slices.Clone(old.Unproved), func(at string) bool {
		return slices.ContainsFunc(again, func(m manifest.Entry) bool { return m.Path == at })
	})
	p.Notes = p.State.Notes
	return p, nil
}

func known(notes []tree.Note) []tree.Note {
	out := slices.Clone(notes)
	for i := range out {
		out[i].Known = true
	}
	return out
}
