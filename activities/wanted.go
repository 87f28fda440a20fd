package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheels"
)

// wantedFile is what is wanted of a wheels mirror, below its state.
type wantedFile struct {
	Digest    string                  `json:"digest"`
	Platforms map[string][]wheels.Pin `json:"platforms"`
}

func readWanted(t Target) (wantedFile, error) {
	var w wantedFile
	name := filepath.Join(stateDir(t), "requirements", "wanted")
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &w)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return w, &fault.Error{Kind: fault.Gone, Op: "activities: read what is wanted", Subject: name, Err: err, Advice: "the requirements have not been read yet"}
	}
	if err != nil {
		return w, fmt.Errorf("activities: read what is wanted: %w", err)
	}
	return w, nil
}

func wanted(t Target) func() (map[string][]wheels.Pin, error) {
	return func() (map[string][]wheels.Pin, error) {
		w, err := readWanted(t)
		return w.Platforms, err
	}
}

// Require brings what is wanted of a wheels mirror up to date.
func (s *Sync) Require(ctx context.Context, in RequireInput) (Required, error) {
	_, _, stop := alive(ctx)
	defer stop()
	w, err := readWanted(in.Target)
	out := Required{Digest: w.Digest}
	for _, pins := range w.Platforms {
		out.Pins += len(pins)
	}
	return out, translate(err)
}

// makeInbox makes the directory of one attempt; the one above it was made by the
// planner, so that nothing is made below a mount point whose disk is gone.
func makeInbox(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("activities: make inbox: %w", err)
	}
	return nil
}
