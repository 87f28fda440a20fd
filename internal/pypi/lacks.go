package pypi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// maxLacks bounds the examples in a project's row.
const maxLacks = 8

// lacks is what upstream lists of a project and its page has not: refused is
// what cannot be believed, missing what could not be had. Those of the committed
// generation were told of when it was made.
type lacks struct {
	Refused int    `json:"r,omitempty"` // files
	Missing int    `json:"m,omitempty"` // files
	Files   []lack `json:"f,omitempty"` // some of them
}

type lack struct {
	File    string     `json:"f"`
	Kind    fault.Kind `json:"k"`
	Refused string     `json:"w,omitempty"` // why; "" if it is missing
}

// refuse adds a file that is left off its page, or keeps what it was.
func (l *lacks) refuse(file string, err error) {
	l.Refused++
	if len(l.Files) < maxLacks {
		l.Files = append(l.Files, lack{File: file, Kind: fault.KindOf(err), Refused: strings.ToValidUTF8(fmt.Sprintf("%.800s", err), "")})
	}
}

// miss adds a file that could not be had. The text of the failure is not kept:
// it may be another one each time.
func (l *lacks) miss(file string, kind fault.Kind) {
	l.Missing++
	if len(l.Files) < maxLacks {
		l.Files = append(l.Files, lack{File: file, Kind: kind})
	}
}

func (l *lacks) none() bool { return l == nil || l.Refused+l.Missing == 0 }

// misses reports whether a file is noted as one that upstream goes on lacking.
func (l *lacks) misses(file string) bool {
	return l != nil && slices.ContainsFunc(l.Files, func(k lack) bool { return k.File == file && k.Refused == "" && lasting(k.Kind) })
}

// absent are the files that upstream goes on lacking.
func (l *lacks) absent() map[string]bool {
	out := map[string]bool{}
	if l != nil {
		for _, k := range l.Files {
			if k.Refused == "" && lasting(k.Kind) {
				out[k.File] = true
			}
		}
	}
	return out
}

// lasting tells a failure that upstream must mend from one that passes by itself.
func lasting(k fault.Kind) bool { return k != fault.Unavailable && k != "" }

// note tells of the refused files of a project in one line.
func (l *lacks) note(project string) (tree.Note, bool) {
	i := slices.IndexFunc(l.Files, func(k lack) bool { return k.Refused != "" })
	if i < 0 {
		return tree.Note{}, false
	}
	return standing(project, l.Files[i].Kind, l.Files[i].Refused, l.Refused), true
}

func standing(project string, kind fault.Kind, text string, count int) tree.Note {
	if count > 1 {
		text = fmt.Sprintf("%d files, the first: %s", count, text)
	}
	return tree.Note{Unit: project, Kind: string(kind), Error: text, Standing: true}
}

// mayLack tells whether a row may say that its project lacks something. Few do:
// the notes of the others are not parsed.
func mayLack(row manifest.Entry) bool { return strings.Contains(row.Note, `"l":`) }

// known tells again, as known, what the mirror lacks of projects that the plan
// leaves alone, and counts what all projects lack.
func (p *planner) known(rows []manifest.Entry) {
	info := p.w.Info()
	for _, row := range rows {
		l := readNote(row).Lacks
		if l.none() || p.planned[row.Path] {
			continue // or the settling tells of it
		}
		info.Missing += int64(l.Missing)
		info.Refused += int64(l.Refused)
		var notes []tree.Note
		if i := slices.IndexFunc(l.Files, func(k lack) bool { return k.Refused == "" && lasting(k.Kind) }); i >= 0 {
			err := missing(l.Files[i])
			notes = append(notes, standing(row.Path, err.Kind, err.Error(), l.Missing))
		}
		if note, ok := l.note(row.Path); ok {
			notes = append(notes, note)
		}
		for _, n := range notes {
			n.Known = true
			info.Deferred = append(info.Deferred, n)
		}
	}
}

func missing(l lack) *fault.Error {
	return &fault.Error{Kind: l.Kind, Op: "pypi: fetch file", Subject: l.File, Err: errors.New("upstream lists it and does not have it as listed"),
		Advice: "nothing to do here: it is left off its page, and asked for in each cycle; tell upstream"}
}

// Lacking says what the committed generation lacks of what upstream lists, and
// names up to max of it. Of a project with very many such files some have no
// kind.
func Lacking(t *tree.Tree, max int) (tree.Lacks, error) {
	var out tree.Lacks
	g, err := t.Committed()
	if err != nil {
		return out, err
	}
	rows, err := t.Table(g, projectsTable)
	if err != nil {
		return out, err
	}
	if err := absentProjects(t, rows, &out, max); err != nil {
		return out, err
	}
	of := fmt.Sprint(t.State(), " ", max)
	last, _ := summed.Load(of)
	if l, ok := last.(sum); ok && l.rows == rows.ID() {
		l.of.Into(&out, max)
		return out, nil
	}
	var in tree.Lacks
	for row, err := range rows.All() {
		if err != nil {
			return out, err
		}
		if !strings.Contains(row.Note, `"l":`) {
			continue
		}
		if l := readNote(row).Lacks; !l.none() {
			l.sum(row.Path, &in, max)
		}
	}
	summed.Store(of, sum{rows.ID(), in})
	in.Into(&out, max)
	return out, nil
}

// summed remembers the last sum of each mirror: a cycle asks several times, and
// the rows of a large index are many.
var summed sync.Map

type sum struct {
	rows manifest.ID
	of   tree.Lacks
}

// sum adds what a project lacks.
func (l *lacks) sum(project string, out *tree.Lacks, max int) {
	missed, refused := int64(l.Missing), int64(l.Refused)
	for _, k := range l.Files {
		reason := k.Refused
		if reason == "" {
			reason = missing(k).Error()
			missed--
		} else {
			refused--
		}
		out.Add(k.Kind, k.Refused != "", 1)
		out.Name(tree.Lack{Unit: project, File: k.File, Reason: reason, Kind: k.Kind, Refused: k.Refused != ""}, max)
	}
	out.Add("", false, missed) // beyond those that are named
	out.Add("", true, refused)
}

// absentProjects adds those that were asked for, and of which upstream had no page ever.
func absentProjects(t *tree.Tree, rows *manifest.Manifest, out *tree.Lacks, max int) error {
	var noted map[string]doubt
	data, err := t.Memo(doubtsName)
	if err != nil || json.Unmarshal(data, &noted) != nil { // unreadable: the next plan writes it anew
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(noted)) {
		if noted[name].What != absentAnswer {
			continue
		}
		if _, known, err := rows.Lookup(name); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		out.Add(fault.Gone, false, 1)
		out.Name(tree.Lack{Unit: name, Kind: fault.Gone, Reason: "pypi: read page of " + name + ": it is asked for, and upstream answers that there is none"}, max)
	}
	return nil
}
