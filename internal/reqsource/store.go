package reqsource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/requirements"
)

// Below the state of the mirror:
//
//	requirements/wanted         what is wanted (requirements.Wanted)
//	requirements/source         validators: record
//	requirements/stale          what the last call answered from here, and why
//	requirements/text/<sha256>  the texts that it names, as requirements.Text writes them
const (
	wantedFile = "wanted"
	staleFile  = "stale"
	sourceFile = "source"
	textDir    = "text"
)

// record is what is known of a source. It may be lost: everything is asked anew.
type record struct {
	Of        string               `json:"of"` // what was asked; of another source nothing is known
	Refs      map[string]refRecord `json:"refs"`
	NotBefore time.Time            `json:"not_before,omitzero"` // the server said so
}

type refRecord struct {
	Commit string                `json:"commit,omitempty"`
	ETag   string                `json:"etag,omitempty"`
	Files  map[string]fileRecord `json:"files"` // by place
}

type fileRecord struct {
	SHA256       string `json:"sha256"` // of the text as it is kept
	Notes        []note `json:"notes,omitempty"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// note is what ParseFile noted of a line that the kept text does not have.
type note struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Wanted reads what the wheels mirror with that state directory wants; the zero
// value if nobody wrote it yet. What does not match its digest is fault.Corrupt.
func Wanted(state string) (requirements.Wanted, error) {
	data, err := os.ReadFile(filepath.Join(state, "requirements", wantedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return requirements.Wanted{}, nil
	}
	if err != nil {
		return requirements.Wanted{}, fmt.Errorf("reqsource: read wanted: %w", err)
	}
	return requirements.ParseWanted(data)
}

// Stale reads what the last call of Bring answered from the state, and why.
func Stale(state string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(state, "requirements", staleFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	if err == nil && json.Unmarshal(data, &out) != nil {
		return nil, nil // the next call writes it anew
	}
	if err != nil {
		return nil, fmt.Errorf("reqsource: read stale: %w", err)
	}
	return out, nil
}

func (s *Source) setStale(stale []string) error {
	had, err := Stale(s.cfg.State)
	if err != nil || slices.Equal(had, stale) {
		return err
	}
	data, err := json.Marshal(stale)
	if err != nil {
		return err
	}
	return write(s.path(staleFile), data, 0o600)
}

func (s *Source) path(elem ...string) string {
	return filepath.Join(append([]string{s.cfg.State, "requirements"}, elem...)...)
}

func (s *Source) load() (record, error) {
	of := fmt.Sprint(s.cfg.GitHub, s.cfg.URL, s.cfg.File, s.files())
	fresh := record{Of: of, Refs: map[string]refRecord{}}
	data, err := os.ReadFile(s.path(sourceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("reqsource: read state: %w", err)
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.Of != of {
		return fresh, nil
	}
	old := r
	r.Refs = maps.Clone(r.Refs)
	for name, ref := range r.Refs {
		if next, err := s.current(ref); err != nil {
			delete(r.Refs, name) // asked anew, without validators
		} else {
			r.Refs[name] = next
		}
	}
	return r, s.save(old, r)
}

// current is a record whose texts are there. What an older version kept as it
// came, comments and credentials included, is kept anew.
func (s *Source) current(ref refRecord) (refRecord, error) {
	ref.Files = maps.Clone(ref.Files)
	for _, file := range s.files() {
		f := ref.Files[file]
		data, err := s.text(f.SHA256)
		if err != nil {
			return ref, err
		}
		kept, err := s.keep(file, data)
		if err != nil {
			return ref, err
		}
		if kept.SHA256 != f.SHA256 {
			f.SHA256, f.Notes = kept.SHA256, kept.Notes
			ref.Files[file] = f
		}
	}
	return ref, nil
}

// save writes the record, if it changed, and removes texts that it does not name.
func (s *Source) save(had, next record) error {
	if reflect.DeepEqual(had, next) {
		return nil
	}
	data, err := json.MarshalIndent(next, "", " ")
	if err == nil {
		err = write(s.path(sourceFile), data, 0o600)
	}
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, ref := range next.Refs {
		for _, f := range ref.Files {
			named[f.SHA256] = true
		}
	}
	texts, err := os.ReadDir(s.path(textDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, t := range texts {
		if !named[t.Name()] {
			err = errors.Join(err, os.Remove(s.path(textDir, t.Name())))
		}
	}
	return err
}

// keep proves a text and stores what can be read of it: no comment, option or
// credential that stands in it comes into the state.
func (s *Source) keep(name string, data []byte) (fileRecord, error) {
	all, notes, err := requirements.ParseFile(name, data)
	if err == nil && len(all) == 0 {
		err = &fault.Error{Kind: fault.Malformed, Op: "reqsource: read", Subject: name, Err: errors.New("it holds no requirement at all"),
			Advice: "the last text that had some stays in use"}
	}
	if err != nil {
		return fileRecord{}, err
	}
	text := requirements.Text(all)
	sum := sha256.Sum256(text)
	f := fileRecord{SHA256: hex.EncodeToString(sum[:])}
	for _, n := range notes {
		f.Notes = append(f.Notes, note{n.Line, n.Err.Error()})
	}
	if _, err := s.text(f.SHA256); err == nil {
		return f, nil
	}
	return f, write(s.path(textDir, f.SHA256), text, 0o600)
}

func (s *Source) text(digest string) ([]byte, error) {
	data, err := os.ReadFile(s.path(textDir, digest))
	if err != nil {
		return nil, fmt.Errorf("reqsource: read text: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "reqsource: read text", Subject: digest, Err: errors.New("the digest is another"),
			Advice: "nothing to do: the next cycle brings it again"}
	}
	return data, nil
}

// write makes a file whole or not at all, also across a power cut.
func write(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("reqsource: make state: %w", err)
	}
	if err := durable.Replace(name, data, mode); err != nil {
		return fmt.Errorf("reqsource: write state: %w", err)
	}
	return nil
}
