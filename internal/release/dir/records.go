package dir

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strconv"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// record is what gens/<n> holds.
type record struct {
	tree.Served
	Published  time.Time `json:"published"`           // shortly before the flip
	Superseded time.Time `json:"superseded,omitzero"` // shortly after the next flip
}

func (r *Region) record(n int64) (record, error) {
	var rec record
	name := r.path("gens", strconv.FormatInt(n, 10))
	data, err := os.ReadFile(name)
	if err != nil {
		return rec, fmt.Errorf("dir: read generation: %w", err)
	}
	if err := json.Unmarshal(data, &rec); err != nil || rec.Number != n {
		return rec, &fault.Error{Kind: fault.Corrupt, Op: "dir: read generation", Subject: name, Err: err, Advice: "restore the file, or rebuild the region"}
	}
	return rec, nil
}

// records returns the readable generations up to the one that is served, ascending.
func (r *Region) records(served int64) ([]record, error) {
	all, err := r.list("gens", served)
	if err != nil {
		return nil, err
	}
	out := make([]record, len(all))
	for i, n := range all {
		if out[i], err = r.record(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *session) putRecord(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return s.put(s.path("gens", strconv.FormatInt(rec.Number, 10)), append(data, '\n'))
}

// list returns the numbers up to top of the files in one of the private directories, ascending.
func (r *Region) list(kind string, top int64) ([]int64, error) {
	all, err := tree.Numbered(r.path(kind), "")
	if err != nil {
		return nil, fmt.Errorf("dir: list %s: %w", kind, err)
	}
	all = slices.DeleteFunc(all, func(n int64) bool { return n > top })
	slices.Sort(all)
	return all, nil
}

// lines yields the lines of drops/<n> or replaced/<n>; a missing file has none.
func (r *Region) lines(kind string, n int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := os.Open(r.path(kind, strconv.FormatInt(n, 10)))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("dir: read: %w", err))
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("dir: read %s: %w", f.Name(), err))
		}
	}
}

// dropped yields the objects that generation n no longer named.
func (r *Region) dropped(n int64) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for line, err := range r.lines("drops", n) {
			var e manifest.Entry
			if err == nil {
				e, err = manifest.ParseEntry(line)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// log returns the site's ledger.
func (r *Region) log() ([]ledger.Record, error) {
	texts, err := journal.Read(r.path("log"))
	if err != nil {
		return nil, err
	}
	out := make([]ledger.Record, len(texts))
	for i, t := range texts {
		if out[i], err = ledger.ParseRecord(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// note adds a record to the log. The whole log is written anew and renamed out
// of the stage, unlike a plain append, so that a fenced run cannot.
func (s *session) note(event ledger.Event, n int64) error {
	log, err := s.log()
	if err != nil {
		return err
	}
	log = ledger.Compact(append(log, ledger.Record{Time: s.Now(), Event: event, Gen: n}), s.logLimit(), s.Policy.Every)
	texts := make([]string, len(log))
	for i, rec := range log {
		texts[i] = rec.String()
	}
	temp := s.temp()
	s.Crash("log/" + string(event))
	if err := journal.Rewrite(temp, texts); err != nil {
		return err
	}
	return s.move(temp, s.path("log"))
}

// logLimit leaves at least two waits of records after a compaction, so that
// forgetting old ones never makes a drop wait for ever.
func (r *Region) logLimit() int {
	if r.Policy.Every <= 0 {
		return 1024
	}
	return max(1024, 4*int(r.Policy.Grace/r.Policy.Every))
}
