// Package reqsource brings the texts that say which packages are wanted from GitHub, a URL or a file, and keeps the last ones that it had.
//
// A branch or tag is resolved to its commit, and files are read at the commit,
// so requirements and constraints of one ref always belong together. Everything
// is asked for with the validators of the last answer: a quiet cycle costs one
// "not modified" per ref or URL. What cannot be had now is answered from the
// state and reported as stale. Which wheels are wanted stands in the state as
// requirements.Wanted.
package reqsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/requirements"
)

// Config says where the texts come from: one of GitHub, URL and File is set.
type Config struct {
	GitHub string   // "owner/repository"
	Refs   []string // branches or tags of it
	URL    string   // of the requirements
	File   string   // their path
	// Requirements is the requirements' path in the repository. Constraints is a
	// path there, else a URL or an absolute path; without it the requirements
	// themselves pin.
	Requirements, Constraints string

	// Build are lines that bound what builds are made with.
	Build []string

	State        string                              // directory of the mirror's state
	Environments map[string]requirements.Environment // by platform
	Client       *fetch.Client                       // for URLs

	HTTP   *http.Client             // for GitHub; nil is one with a timeout
	Getenv func(name string) string // nil is os.Getenv; see the variables in auth.go
	Now    func() time.Time         // nil is time.Now
	// Wait pauses; nil waits on the clock. Tests record the pauses instead.
	Wait func(ctx context.Context, d time.Duration) error
	// MaxWait is the longest pause that a limit may ask for within one call; beyond it the
	// last answer is given, and nothing asked before the time that the server named. 0 is 2 min.
	MaxWait time.Duration
}

// Outcome is what a call of Bring found.
type Outcome struct {
	Digest  string   `json:"digest"`          // of what is wanted
	Changed bool     `json:"changed"`         // since the last call
	Pins    int      `json:"pins"`            // over all platforms
	Stale   []string `json:"stale,omitempty"` // what is answered from the state, and why
	Notes   []string `json:"notes,omitempty"` // what could not be read or pinned
}

// maxText bounds one file of requirements, in bytes.
const maxText = 16 << 20

// Source brings what one wheels mirror wants.
type Source struct {
	cfg  Config
	auth *auth
}

// New checks the configuration and the environment; what is wrong is fault.Config.
func New(cfg Config) (*Source, error) {
	cfg.MaxWait = cmp.Or(cfg.MaxWait, 2*time.Minute)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: time.Minute, Transport: fetch.Proxied(http.DefaultTransport.(*http.Transport).Clone())}
	}
	s := &Source{cfg: cfg}
	if cfg.GitHub == "" {
		return s, nil
	}
	var err error
	s.auth, err = authFrom(cfg.Getenv)
	return s, err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Bring asks the source and writes down what is wanted. A ref that cannot be had
// is answered from the state; the error is set if nothing at all is known, or
// the state cannot be written.
func (s *Source) Bring(ctx context.Context) (Outcome, error) {
	had, err := s.load()
	if err != nil {
		return Outcome{}, err
	}
	next := had
	var stale []string
	var first error
	if s.cfg.GitHub != "" {
		stale, first = s.github(ctx, &next)
	} else {
		stale, first = s.place(ctx, &next)
	}
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx)
	}
	var refs []requirements.Ref
	for _, name := range s.names() {
		known, ok := next.Refs[name]
		if !ok {
			continue
		}
		ref, err := s.read(name, known)
		if err != nil {
			return Outcome{}, err
		}
		refs = append(refs, ref)
	}
	if err := s.save(had, next); err != nil {
		return Outcome{}, err
	}
	if len(refs) == 0 {
		return Outcome{}, errors.Join(first, s.nothing())
	}
	out, err := s.want(refs)
	out.Stale = stale
	return out, errors.Join(err, s.setStale(stale))
}

// names are the refs of the source; what is no repository has one without a name.
func (s *Source) names() []string {
	if s.cfg.GitHub != "" {
		return s.cfg.Refs
	}
	return []string{""}
}

func (s *Source) nothing() error {
	return &fault.Error{Kind: fault.Unavailable, Op: "reqsource: bring", Subject: cmp.Or(s.cfg.GitHub, s.cfg.URL, s.cfg.File),
		Err: errors.New("there is no earlier answer either"), Advice: "nothing is built until the source answers once"}
}

// want writes down what refs want, if it changed.
func (s *Source) want(refs []requirements.Ref) (Outcome, error) {
	w := requirements.Want(refs, s.cfg.Environments)
	if len(s.cfg.Build) > 0 {
		build, notes, err := requirements.ParseFile("build-constraints", []byte(strings.Join(s.cfg.Build, "\n")))
		if err != nil {
			return Outcome{}, err
		}
		for _, n := range notes {
			w.Notes = append(w.Notes, n.String())
		}
		w.ForBuilds(build)
	}
	data, err := w.Encode()
	if err != nil {
		return Outcome{}, err
	}
	if w, err = requirements.ParseWanted(data); err != nil {
		return Outcome{}, err
	}
	out := Outcome{Digest: w.Digest, Notes: w.Notes}
	for _, pins := range w.Platforms {
		out.Pins += len(pins)
	}
	had, err := Wanted(s.cfg.State)
	if err != nil && !errors.Is(err, fault.Corrupt) {
		return out, err
	}
	if out.Changed = had.Digest != w.Digest; out.Changed {
		err = write(s.path(wantedFile), data, 0o644) // build workers read it as other users
	} else {
		err = nil
	}
	return out, err
}

// read makes a ref of kept texts.
func (s *Source) read(name string, known refRecord) (requirements.Ref, error) {
	ref := requirements.Ref{Name: name}
	for i, file := range s.files() {
		data, err := s.text(known.Files[file].SHA256)
		if err != nil {
			return ref, err
		}
		label := file
		if name != "" {
			label = name + ":" + file
		}
		all, _, err := requirements.ParseFile(label, data)
		if err != nil {
			return ref, err
		}
		for _, n := range known.Files[file].Notes {
			ref.Notes = append(ref.Notes, requirements.Note{Name: label, Line: n.Line, Err: errors.New(n.Text)})
		}
		if i == 0 {
			ref.Requirements = all
		}
		ref.Constraints = all // the last file's
	}
	return ref, nil
}

// files are the places of requirements and constraints.
func (s *Source) files() []string {
	first := s.cfg.Requirements
	if s.cfg.GitHub == "" {
		first = cmp.Or(s.cfg.URL, s.cfg.File)
	}
	if s.cfg.Constraints == "" || s.cfg.Constraints == first {
		return []string{first}
	}
	return []string{first, s.cfg.Constraints}
}

func stale(what string, err error) string { return fmt.Sprintf("%s: %v", what, err) }
