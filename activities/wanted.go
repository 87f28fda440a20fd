package activities

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/wheels"
)

// readWanted reads what is wanted of a wheels mirror, which is below its state.
func readWanted(t Target) (requirements.Wanted, error) {
	name := filepath.Join(stateDir(t), "requirements", "wanted")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return requirements.Wanted{}, &fault.Error{Kind: fault.Gone, Op: "activities: read what is wanted", Subject: name, Err: err,
			Advice: "the requirements have not been read yet"}
	}
	if err != nil {
		return requirements.Wanted{}, fmt.Errorf("activities: read what is wanted: %w", err)
	}
	return requirements.ParseWanted(data)
}

func wanted(t Target) func() (map[string][]wheels.Pin, error) {
	return func() (map[string][]wheels.Pin, error) {
		w, err := readWanted(t)
		out := map[string][]wheels.Pin{}
		for platform, pins := range w.Platforms {
			for _, p := range pins {
				out[platform] = append(out[platform], wheels.Pin{Name: p.Name, Version: p.Version})
			}
		}
		return out, err
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
