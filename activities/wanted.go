package activities

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// Require brings what is wanted of a wheels mirror up to date.
func (s *Sync) Require(ctx context.Context, in RequireInput) (Required, error) {
	ctx, _, stop := alive(ctx)
	defer stop()
	out, err := s.require(ctx, in.Target)
	return Required{Digest: out.Digest, Pins: out.Pins, Stale: few(out.Stale), Notes: few(out.Notes)}, translate(err)
}

func (s *Sync) require(ctx context.Context, t Target) (reqsource.Outcome, error) {
	client, err := s.clients.of(t, s.Internal)
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
	build, err := forBuilds(t)
	if err != nil {
		return reqsource.Outcome{}, err
	}
	src, err := reqsource.New(reqsource.Config{GitHub: m.GitHub, Refs: m.Refs, URL: m.URL, File: m.File, Requirements: strings.Join(m.Requirements, ""),
		Constraints: m.Constraints, Build: build, State: stateDir(t), Environments: environments, Client: client})
	if err != nil {
		return reqsource.Outcome{}, err
	}
	return src.Bring(ctx)
}

// forBuilds are lines for what builds are made with: those of the spec, and what
// builds of the pins that were wanted so far turned out to lack.
func forBuilds(t Target) ([]string, error) {
	w, err := reqsource.Wanted(stateDir(t))
	if err != nil && !errors.Is(err, fault.Corrupt) {
		return nil, err
	}
	if w.Digest == "" {
		return t.Mirror.BuildConstraints, nil
	}
	platforms, err := states(t).Platforms(platformNames(t), wanted(t))
	return append(slices.Clone(t.Mirror.BuildConstraints), wheels.Lacked(platforms)...), err
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

// elsewhere are rows of pins that are required, and not for a platform.
func elsewhere(t Target) (map[string][]wheels.Row, error) {
	w, err := reqsource.Wanted(stateDir(t))
	out := map[string][]wheels.Row{}
	for platform, pins := range w.Elsewhere {
		for _, p := range pins {
			out[platform] = append(out[platform], wheels.Row{Pin: wheels.Pin{Name: p.Name, Version: p.Version}, Platform: platform,
				State: wheels.Elsewhere, Reason: "its marker does not hold here"})
		}
	}
	return out, err
}

// requirementNotes are what the last Require left behind: what cannot be read or
// pinned stands until somebody mends it, a source that did not answer may hide news.
func requirementNotes(t Target) func() ([]tree.Note, error) {
	return func() (out []tree.Note, err error) {
		stale, err := reqsource.Stale(stateDir(t))
		if err != nil {
			return nil, err
		}
		for _, s := range stale {
			out = append(out, tree.Note{Unit: "requirements", Kind: string(fault.Stale), Error: "requirements are of an earlier answer: " + s})
		}
		w, err := reqsource.Wanted(stateDir(t))
		for _, n := range w.Notes {
			out = append(out, tree.Note{Unit: "requirements", Kind: string(fault.Malformed), Error: "requirements: " + n, Standing: true})
		}
		return out, err
	}
}

// suspects are files of an index mirror that builds of wheels could not use.
func suspects(t Target) (out []string, err error) {
	spec := mirrorspec.Spec{Storage: t.Storage}
	for _, name := range t.Referring {
		more, err := wheels.Store{State: spec.StateDir(name)}.Suspects()
		if err != nil {
			return out, err
		}
		out = append(out, more...)
	}
	return out, nil
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
