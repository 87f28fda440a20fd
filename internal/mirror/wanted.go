package mirror

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// Required counts what is wanted of a wheels mirror.
type Required struct {
	Digest string   `json:"digest"`          // of all pins of all platforms
	Pins   int      `json:"pins"`            // over all platforms
	Stale  []string `json:"stale,omitempty"` // what could not be asked for, so that what was known before stands
	Notes  []string `json:"notes,omitempty"` // what could not be read or pinned
}

// Require brings what is wanted of a wheels mirror up to date. It needs no open tree.
func (m *Mirror) Require(ctx context.Context) (Required, error) {
	client, err := m.client()
	if err != nil {
		return Required{}, err
	}
	spec := m.Mirror
	environments := map[string]requirements.Environment{}
	for _, p := range spec.Platforms {
		facts, err := states(m.Target).Facts(p.Name)
		if err != nil {
			return Required{}, err
		}
		environments[p.Name] = requirements.Linux(p.Python, facts.Machine)
	}
	build, err := forBuilds(m.Target)
	if err != nil {
		return Required{}, err
	}
	src, err := reqsource.New(reqsource.Config{GitHub: spec.GitHub, Refs: spec.Refs, URL: spec.URL, File: spec.File, Requirements: strings.Join(spec.Requirements, ""),
		Constraints: spec.Constraints, Build: build, State: m.State(), Environments: environments, Client: client})
	if err != nil {
		return Required{}, err
	}
	out, err := src.Bring(ctx)
	return Required{Digest: out.Digest, Pins: out.Pins, Stale: few(out.Stale), Notes: few(out.Notes)}, err
}

// forBuilds are lines for what builds are made with: those of the spec, and what
// builds of the pins that were wanted so far turned out to lack.
func forBuilds(t Target) ([]string, error) {
	w, err := reqsource.Wanted(t.State())
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
		w, err := reqsource.Wanted(t.State())
		if err == nil && w.Digest == "" {
			err = &fault.Error{Kind: fault.Gone, Op: "mirror: read what is wanted", Subject: t.Mirror.Name,
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
	w, err := reqsource.Wanted(t.State())
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
		stale, err := reqsource.Stale(t.State())
		if err != nil {
			return nil, err
		}
		for _, s := range stale {
			out = append(out, tree.Note{Unit: "requirements", Kind: string(fault.Stale), Error: "requirements are of an earlier answer: " + s})
		}
		w, err := reqsource.Wanted(t.State())
		for _, n := range w.Notes {
			out = append(out, tree.Note{Unit: "requirements", Kind: string(fault.Malformed), Error: "requirements: " + n, Standing: true})
		}
		return out, err
	}
}

// suspects are files of an index mirror that builds of wheels could not use.
func (t Target) suspects() (out []string, err error) {
	for _, name := range t.Referring {
		more, err := wheels.Store{State: Tree(t.Storage, mirrorspec.Mirror{Name: name}).State}.Suspects()
		if err != nil {
			return out, err
		}
		out = append(out, more...)
	}
	return out, nil
}
