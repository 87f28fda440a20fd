package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// BuildRequest is one source distribution to make a wheel of.
type BuildRequest struct {
	Job      wheels.Job
	Source   string // path of the source distribution
	Platform mirrorspec.Platform
	Facts    wheel.Platform
	Dir      string       // where wheel and log go; it is there
	Index    http.Handler // of the index mirror, for build dependencies
	Simple   string       // path of the simple index below it
	// IndexState names what Index has now: other packages, another name.
	IndexState  string
	Sandbox     string // mirrorspec.Bubblewrap or mirrorspec.NoSandbox
	Limits      sandbox.Limits
	Constraints []string // of what is installed for the build
}

// Builder builds wheels on this host. A build that fails is a Delivered with a
// class; errors are of the host.
type Builder interface {
	// Describe says what a platform's root is; sandbox is as in BuildRequest.
	Describe(ctx context.Context, p mirrorspec.Platform, sandbox string) (wheel.Platform, error)
	Build(ctx context.Context, r BuildRequest) (Delivered, error)
}

// Bench is where wheels are built on this host.
type Bench struct {
	Builder Builder
	// Index serves the tree of one mirror below a storage's root, as a region
	// does, and nothing else of the storage: what a build reads may end in its log.
	Index func(root, mirror string) (http.Handler, error)
}

// Build builds one wheel into the inbox of an attempt. It writes nowhere else.
func (w Bench) Build(ctx context.Context, in BuildInput, attempt string) (Delivered, error) {
	store := states(in.Target)
	if !wheels.ValidAttempt(attempt) {
		return Delivered{}, &fault.Error{Kind: fault.Malformed, Op: "mirror: build", Subject: fault.Line(attempt, 100), Err: errors.New("not the name of an attempt")}
	}
	job, err := jobOf(store, in.Platform.Name, in.Plan, in.Job)
	if err != nil {
		return Delivered{}, err
	}
	cfg, err := indexTree(in.Target)
	if err != nil {
		return Delivered{}, err
	}
	index, err := w.Index(in.Target.Storage.Root, in.Target.Index.Name)
	if err != nil {
		return Delivered{}, err
	}
	served, err := tree.ReadServed(cfg.Dir)
	if err != nil {
		return Delivered{}, err
	}
	dir := store.Inbox(in.Platform.Name, attempt)
	if err := makeInbox(dir); err != nil {
		return Delivered{}, err
	}
	m := in.Target.Mirror
	out, err := w.Builder.Build(ctx, BuildRequest{Job: job, Source: filepath.Join(cfg.Dir, filepath.FromSlash(job.Path)), Platform: in.Platform,
		Facts: wheel.Platform(in.Facts), Dir: dir, Index: index, Simple: "/" + in.Target.Index.Name + "/simple/",
		IndexState: fmt.Sprint(served.Tree, " ", served.Number, " ", served.Manifest), Sandbox: m.Sandbox,
		Limits: sandbox.Limits{Timeout: time.Duration(m.BuildTimeout), Memory: int64(m.BuildMemory), Processes: m.BuildProcesses,
			Disk: int64(m.BuildDisk), Log: int64(m.BuildLog)}, Constraints: m.BuildConstraints})
	out.Attempt, out.Pin = attempt, job.Pin.String()
	return out, err
}

// makeInbox makes the directory of one attempt; the one above it was made by the
// planner, so that nothing is made below a mount point whose disk is gone.
func makeInbox(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("mirror: make inbox: %w", err)
	}
	// Where the builder has a user of its own, whoever takes in the delivery clears it away as a member of the group.
	if err := os.Chmod(dir, 0o775); err != nil {
		return fmt.Errorf("mirror: make inbox: %w", err)
	}
	return nil
}
