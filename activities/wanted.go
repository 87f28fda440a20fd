package activities

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/wheels"
)

// Require brings what is wanted of a wheels mirror up to date.
func (s *Sync) Require(ctx context.Context, in RequireInput) (Required, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	out, err := s.require(ctx, in.Target)
	return Required{Digest: out.Digest, Pins: out.Pins, Stale: few(out.Stale), Notes: few(out.Notes)}, translate(err)
}

func (s *Sync) require(ctx context.Context, t Target) (reqsource.Outcome, error) {
	client, err := s.clients.of(t)
	if err != nil {
		return reqsource.Outcome{}, err
	}
	m := t.Mirror
	environments := map[string]requirements.Environment{}
	for _, p := range m.Platforms {
		facts, err := states(t).Facts(p.Name)
		if err != nil {
			return reqsource.Outcome{}, err
		}
		environments[p.Name] = requirements.Linux(p.Python, facts.Machine)
	}
	src, err := reqsource.New(reqsource.Config{GitHub: m.GitHub, Refs: m.Refs, URL: m.URL, File: m.File, Requirements: strings.Join(m.Requirements, ""),
		Constraints: m.Constraints, Build: m.BuildConstraints, State: stateDir(t), Environments: environments, Client: client})
	if err != nil {
		return reqsource.Outcome{}, err
	}
	return src.Bring(ctx)
}

// wanted reads the pins by platform. Nothing known is an error, not an empty list.
func wanted(t Target) func() (map[string][]wheels.Pin, error) {
	return func() (map[string][]wheels.Pin, error) {
		w, err := reqsource.Wanted(stateDir(t))
		if err == nil && w.Digest == "" {
			err = &fault.Error{Kind: fault.Gone, Op: "activities: read what is wanted", Subject: t.Mirror.Name,
				Err: errors.New("the requirements have not been read yet"), Advice: "run a cycle"}
		}
		out := map[string][]wheels.Pin{}
		for platform, pins := range w.Platforms {
			for _, p := range pins {
				out[platform] = append(out[platform], wheels.Pin{Name: p.Name, Version: p.Version})
			}
		}
		return out, err
	}
}

// makeInbox makes the directory of one attempt; the one above it was made by the
// planner, so that nothing is made below a mount point whose disk is gone.
func makeInbox(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("activities: make inbox: %w", err)
	}
	// Where the builder has a user of its own, whoever takes in the delivery clears it away as a member of the group.
	if err := os.Chmod(dir, 0o775); err != nil {
		return fmt.Errorf("activities: make inbox: %w", err)
	}
	return nil
}
