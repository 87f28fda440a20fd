package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

const frozenFile = "frozen"

// Freeze keeps commits from changing what clients of the tree see until thaw
// is called, or until the given time: for a backend that clones the tree as it
// is. It fails with fault.Unavailable while a commit is under way. Downloads
// and everything else in state go on.
//
// Freeze writes its note and then looks for an intent; a commit writes its
// intent and then looks for the note. So one of the two sees the other.
func Freeze(state string, until time.Time) (thaw func(), err error) {
	name := filepath.Join(state, frozenFile)
	if err := durable.ReplaceBy(name+".new", name, []byte(until.UTC().Format(time.RFC3339Nano)+"\n")); err != nil {
		return nil, fmt.Errorf("tree: freeze: %w", err)
	}
	thaw = func() { os.Remove(name) }
	open, err := Numbered(state, intentPrefix)
	if err == nil && len(open) > 0 {
		err = &fault.Error{Kind: fault.Unavailable, Op: "tree: freeze", Subject: state, Err: errors.New("a commit is under way"), Advice: "try again when it has ended"}
	}
	if err != nil {
		thaw()
		return nil, err
	}
	return thaw, nil
}

// Thaw takes back the Freeze of a process that died before it could.
func Thaw(state string) error {
	if err := os.Remove(filepath.Join(state, frozenFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tree: thaw: %w", err)
	}
	return nil
}

// frozen returns until when the tree must not change, the zero time if it may.
func (t *Tree) frozen() (time.Time, error) {
	data, err := os.ReadFile(t.statePath(frozenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(data)))
	if err != nil {
		return time.Time{}, nil // whoever wrote it died; its clone was never begun
	}
	return until, nil
}

const thawPause = 50 * time.Millisecond

// awaitThaw waits until a clone has been made of the tree as it is.
func (t *Tree) awaitThaw() error {
	for {
		until, err := t.frozen()
		if err != nil || until.IsZero() || !t.cfg.Now().Before(until) {
			return err
		}
		time.Sleep(thawPause)
	}
}
