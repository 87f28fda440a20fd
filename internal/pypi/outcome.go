package pypi

import (
	"encoding/json"
	"maps"
	"path"
	"slices"

	"mirrorcycle/internal/simpleindex"
)

// finish turns what was picked into candidates with their pages.
func (c *closure) finish() error {
	next := memo{Of: c.memo.Of, Base: c.memo.Base, Projects: map[string]*known{}}
	for _, n := range c.sorted() {
		c.p.asked[n.name] = c.p.asked[n.name] || n.asked
		c.incomplete = c.incomplete || n.failed != nil
	}
	for _, n := range c.sorted() {
		if n.failed != nil {
			c.p.note(n.name, n.failed)
			if n.row.known {
				c.p.sweep.again(n.name)
			}
		}
		k := n.remember(c.w.Pins[n.name])
		next.Projects[n.name] = k
		for _, key := range slices.Sorted(maps.Keys(n.asks)) {
			if a := n.asks[key]; len(n.picks[key]) == 0 && n.failed == nil {
				c.note(a)
			}
		}
		if err := c.settle(n, k); err != nil {
			return err
		}
	}
	c.s.incomplete = c.incomplete
	for name, row := range c.s.known {
		if n := c.nodes[name]; n == nil && !c.p.e.cfg.wants(name) && !c.incomplete {
			c.s.lost = append(c.s.lost, candidate{name: name, row: row, known: true})
		} else if n == nil && c.memo.Projects[name] != nil && c.incomplete {
			next.Projects[name] = c.memo.Projects[name]
		}
	}
	c.s.memo = next
	return nil
}

func (c *closure) note(a ask) {
	info := c.p.w.Info()
	info.Deferred = append(info.Deferred, lacking(a.requirement, a.by))
}

// settle makes a candidate of n where the page that is mirrored is another one.
func (c *closure) settle(n *node, k *known) error {
	if n.all || n.failed != nil {
		return nil
	}
	c.s.selected++
	q := n.row
	wanted, err := c.staying(n)
	if err != nil {
		return err
	}
	if n.gone || len(wanted) == 0 {
		if n.row.known {
			q.ready = &change{Name: n.name, Gone: true}
			c.s.candidates = append(c.s.candidates, q)
		}
		return nil
	}
	if !n.fetched {
		return nil
	}
	ch, err := c.spill.get(n.name)
	if err != nil {
		return err
	}
	ch.Spared = without(ch.Project, func(p *simpleindex.Project) { only(p, wanted) })
	k.Page, k.Versions = fingerprint(ch.Project), wanted
	note := readNote(n.row.row)
	if n.row.known && note.Pick == k.Page && !note.Retry {
		return nil
	}
	ch.Display, ch.Pick = n.row.display, k.Page
	q.ready = ch
	c.s.candidates = append(c.s.candidates, q)
	return nil
}

// staying are the versions that n's page is to have: those picked and, while not
// everything that may ask for one is known, those that it has.
func (c *closure) staying(n *node) ([]string, error) {
	out := n.wanted()
	if !c.incomplete || !n.row.known {
		return out, nil
	}
	had, err := objectsOf(c.p.objects, n.name)
	for object := range had {
		if v, ok := simpleindex.FileVersion(n.name, path.Base(object)); ok {
			out = append(out, v)
		}
	}
	return unique(out), err
}

// fingerprint names the content of a page, whatever its serial.
func fingerprint(p *simpleindex.Project) string {
	data, _ := json.Marshal(struct { // strings, times and numbers always marshal
		Status simpleindex.Status
		Reason string
		Files  []simpleindex.File
	}{p.Status, p.StatusReason, p.Files})
	return shortSum(data)
}

// remember returns what the next plan may rely on.
func (n *node) remember(pins []string) *known {
	if n.failed != nil {
		k := known{Incomplete: true}
		if n.known != nil {
			k = *n.known
			k.Incomplete = true
		}
		return &k
	}
	k := &known{Pins: pins, Picks: n.picks, Needs: n.needs, Serial: n.serial, ETag: n.etag, Gone: n.gone}
	if !n.fetched && !n.gone && n.known != nil {
		k.Page, k.Versions = n.known.Page, n.known.Versions
		if !n.asked {
			k.Serial, k.ETag, k.Gone = n.known.Serial, n.known.ETag, n.known.Gone
		}
	}
	for _, needs := range n.needs {
		k.Incomplete = k.Incomplete || needs.Unread
	}
	return k
}
