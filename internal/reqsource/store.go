package reqsource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/requirements"
)

// Below the state of the mirror:
//
//	requirements/wanted         what is wanted (requirements.Wanted)
//	requirements/source         validators: record
//	requirements/stale          what the last call answered from here, and why
//	requirements/text/<sha256>  the texts that it names
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
	SHA256       string `json:"sha256"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
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
	return write(s.path(staleFile), data)
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
	for name, ref := range r.Refs {
		for _, file := range s.files() {
			if _, err := s.text(ref.Files[file].SHA256); err != nil {
				delete(r.Refs, name) // asked anew, without validators
				break
			}
		}
	}
	return r, nil
}

// save writes the record, if it changed, and removes texts that it does not name.
func (s *Source) save(had, next record) error {
	if reflect.DeepEqual(had, next) {
		return nil
	}
	data, err := json.MarshalIndent(next, "", " ")
	if err == nil {
		err = write(s.path(sourceFile), data)
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

// keep stores a text and returns its digest.
func (s *Source) keep(data []byte) (string, error) {
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	if _, err := s.text(digest); err == nil {
		return digest, nil
	}
	return digest, write(s.path(textDir, digest), data)
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
func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("reqsource: make state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("reqsource: write state: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		if err = os.Chmod(f.Name(), 0o644); err == nil { // build workers read it as other users
			err = os.Rename(f.Name(), name)
		}
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("reqsource: write %s: %w", name, err)
	}
	return nil
}
