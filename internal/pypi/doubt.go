package pypi

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// One answer is no truth: what takes something away, and is not what another
// answer of the same upstream says, is believed when a later cycle gets it again.

// doubtFor is how much later that must be: attempts of one activity are one answer.
const doubtFor = time.Minute

const doubtsName = "doubts"

// doubt is an answer that was not believed.
type doubt struct {
	What    string    `json:"what"`
	Since   time.Time `json:"since"`
	Display string    `json:"display,omitempty"`
	Serial  int64     `json:"serial,omitempty"`
}

// doubts are those of the last plan, and those of this one.
type doubts struct {
	at  time.Time
	was map[string]doubt
	mu  sync.Mutex
	now map[string]doubt
}

func (e *Engine) doubts(t *tree.Tree) (*doubts, error) {
	d := &doubts{at: e.cfg.Now(), now: map[string]doubt{}}
	data, err := t.Memo(doubtsName)
	_ = json.Unmarshal(data, &d.was) // unreadable means: doubt again
	return d, err
}

// believe reports whether an answer came before; if not, it is noted.
func (d *doubts) believe(name string, n doubt) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n.Since = d.at
	if old, ok := d.was[name]; ok && old.What == n.What {
		n.Since = old.Since
	}
	d.now[name] = n // also if believed: the commit may yet fail
	return d.at.Sub(n.Since) >= doubtFor
}

// save keeps the doubts for the next plan. One of a project that this plan did
// not ask stays.
func (d *doubts) save(t *tree.Tree, asked func(string) bool) error {
	for name, n := range d.was {
		if _, again := d.now[name]; !again && !asked(name) {
			d.now[name] = n
		}
	}
	if len(d.was) == 0 && len(d.now) == 0 {
		return nil
	}
	data, err := json.Marshal(d.now)
	if err != nil {
		return err
	}
	if old, err := t.Memo(doubtsName); err != nil || string(old) == string(data) {
		return err
	}
	return t.SetMemo(doubtsName, data)
}

// What answers are doubted for.
const (
	absentAnswer = "absent"   // the root lists it, or nothing says that it is gone
	unlisted     = "unlisted" // the root does not list it, and it is there
	rootAnswer   = "simple/"
)

// forget leaves an answer alone from now on.
func (d *doubts) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.now, name)
}

// judge refuses an answer that takes away what no other answer takes away, the
// first time that it comes.
func (p *planner) judge(c candidate, ch *change) error {
	if !c.known {
		return nil
	}
	what, why, err := p.contradiction(c, ch)
	if err != nil || what == "" || p.doubts.believe(c.name, doubt{What: what}) {
		return err
	}
	return &fault.Error{Kind: fault.Stale, Op: "pypi: read", Subject: "page of " + c.name, Err: errors.New(why),
		Advice: "the project keeps its page; the next cycle asks again, and believes the same answer"}
}

// contradiction says what of an answer nothing else says, in no words if all is well.
func (p *planner) contradiction(c candidate, ch *change) (what, why string, err error) {
	switch {
	case ch.Gone && c.absent:
		return "", "", nil
	case ch.Gone:
		return absentAnswer, "upstream answers that there is none, and no other answer says so", nil
	case ch.Serial == 0 && c.row.Size > 0:
		return "unnumbered " + ch.Digest, fmt.Sprintf("it names no serial, and %d was mirrored already", c.row.Size), nil
	case ch.Serial > c.row.Size && c.row.Size > 0, ch.Project.Status == simpleindex.Quarantined:
		return "", "", nil // the page says itself that it is newer
	}
	listed := map[string]bool{}
	for _, f := range ch.Project.Files {
		listed[f.Filename] = true
	}
	for _, r := range ch.Project.Refused {
		listed[r.Filename] = true
	}
	for _, name := range ch.Spared {
		listed[name] = true
	}
	had, err := objectsOf(p.objects, c.name)
	if err != nil {
		return "", "", err
	}
	gone, first := 0, ""
	for _, e := range sortedByPath(had) {
		name := path.Base(e.Path)
		if listed[name] || strings.HasSuffix(name, ".metadata") {
			continue
		}
		if gone++; first == "" {
			first = name
		}
	}
	if gone == 0 {
		return "", "", nil
	}
	return "shorter " + ch.Digest, fmt.Sprintf("it lacks %d files that it had, the first %s, and names no newer serial", gone, first), nil
}
