package pypi

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"mirrorcycle/internal/tree"
)

// memo is what the last plan learned of requirements and the root page; lost, it is learned again.
type memo struct {
	Of       string            `json:"of"` // what it depends on besides pages
	Base     int64             `json:"base"`
	Root     *state            `json:"root,omitempty"` // validators of a root page that led to no change since Base
	Projects map[string]*known `json:"projects"`
}

// known is what was learned of a project.
type known struct {
	Pins       []string            `json:"pins,omitempty"`
	Picks      map[string][]string `json:"picks"` // versions by specifiers
	Needs      map[string]needs    `json:"needs,omitempty"`
	Serial     int64               `json:"serial,omitempty"`
	ETag       string              `json:"etag,omitempty"`
	Page       string              `json:"page,omitempty"`     // fingerprint of the files picked
	Versions   []string            `json:"versions,omitempty"` // of that page
	Gone       bool                `json:"gone,omitempty"`
	Incomplete bool                `json:"incomplete,omitempty"` // ask again
}

// needs are the requirements of one version, as written.
type needs struct {
	Files  []string `json:"files,omitempty"` // SHA-256 of what they were read from
	Run    []string `json:"run,omitempty"`
	Build  []string `json:"build,omitempty"`
	Unread bool     `json:"unread,omitempty"` // a file could not be had
}

const memoName = "requirements"

// recall reads the memo; what was learned under another configuration is nothing.
func (e *Engine) recall(t *tree.Tree) (memo, error) {
	of := shortSum(fmt.Append(nil, "1 ", e.cfg.Environments))
	data, err := t.Memo(memoName)
	if err != nil {
		return memo{}, err
	}
	var m memo
	if json.Unmarshal(data, &m) != nil || m.Of != of {
		m = memo{Of: of}
	}
	return m, nil
}

// remember writes the memo, if it changed.
func remember(t *tree.Tree, m memo) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	old, err := t.Memo(memoName)
	if err != nil || string(old) == string(data) || len(old) == 0 && m.Root == nil && len(m.Projects) == 0 {
		return err
	}
	return t.SetMemo(memoName, data)
}

// spill keeps pages on disk until it is known which of their files are wanted:
// some hundred pages at once would fill the memory.
type spill struct {
	mu  sync.Mutex
	f   *os.File
	end int64
	at  map[string][2]int64 // offset and length
}

func (s *spill) put(name string, c *change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		if s.f, err = os.CreateTemp("", "mirrorcycle-pages-*"); err != nil {
			return fmt.Errorf("pypi: keep page: %w", err)
		}
		if err := os.Remove(s.f.Name()); err != nil { // it lives as long as it is open
			return fmt.Errorf("pypi: keep page: %w", err)
		}
		s.at = map[string][2]int64{}
	}
	if _, err := s.f.WriteAt(data, s.end); err != nil {
		return fmt.Errorf("pypi: keep page: %w", err)
	}
	s.at[name] = [2]int64{s.end, int64(len(data))}
	s.end += int64(len(data))
	return nil
}

func (s *spill) get(name string) (*change, error) {
	s.mu.Lock()
	where, ok := s.at[name]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("pypi: keep page: %s was not read", name)
	}
	data := make([]byte, where[1])
	if _, err := s.f.ReadAt(data, where[0]); err != nil {
		return nil, fmt.Errorf("pypi: keep page: %w", err)
	}
	var c change
	return &c, errors.Join(json.Unmarshal(data, &c))
}

func (s *spill) close() {
	if s.f != nil {
		s.f.Close()
	}
}
