package mirror

import (
	"context"
	"sync"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/mirrorspec"
)

// Sandboxed builds in the sandboxes of this host.
type Sandboxed struct {
	// What all builds of the host together may take: bytes, and processes with
	// threads. 0 is the sandbox's default.
	HostMemory    int64
	HostProcesses int

	mu   sync.Mutex
	open map[string]*sandbox.Sandbox // by how the spec calls it

	environments build.Environments
}

var _ Builder = (*Sandboxed)(nil)

// modes are the sandbox's names for what the spec says.
var modes = map[string]string{"": sandbox.Bubblewrap, mirrorspec.Bubblewrap: sandbox.Bubblewrap, mirrorspec.NoSandbox: sandbox.None}

func (b *Sandboxed) sandbox(name string) (*sandbox.Sandbox, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.open[name]; s != nil {
		return s, nil
	}
	s, err := sandbox.Open(sandbox.Config{Mode: modes[name], HostMemory: b.HostMemory, HostProcesses: b.HostProcesses})
	if err != nil {
		return nil, err
	}
	if b.open == nil {
		b.open = map[string]*sandbox.Sandbox{}
	}
	b.open[name] = s
	return s, nil
}

// Describe implements Builder.
func (b *Sandboxed) Describe(ctx context.Context, p mirrorspec.Platform, name string) (wheel.Platform, error) {
	s, err := b.sandbox(name)
	if err != nil {
		return wheel.Platform{}, err
	}
	return build.Probe(ctx, s, p.Root, p.Python)
}

// Build implements Builder.
func (b *Sandboxed) Build(ctx context.Context, r BuildRequest) (Delivered, error) {
	s, err := b.sandbox(r.Sandbox)
	if err != nil {
		return Delivered{}, err
	}
	res, err := build.Build(ctx, build.Request{Sandbox: s, Root: r.Platform.Root, Platform: r.Facts, SDist: r.Source, SHA256: r.Job.SHA256,
		Name: r.Job.Name, Version: r.Job.Version, Dir: r.Dir, Index: r.Index, IndexPath: r.Simple,
		Environments: &b.environments, IndexState: r.IndexState, Epoch: r.Job.Upload,
		Limits: r.Limits, Constraints: r.Constraints})
	return Delivered{Class: string(res.Class), Message: res.Message, File: res.File, SHA256: res.SHA256, Log: res.Log, Seconds: int64(res.Time.Seconds())}, err
}
