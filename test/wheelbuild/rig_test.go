package wheelbuild_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
)

// limits keep what goes wrong on purpose short.
var limits = sandbox.Limits{Timeout: 10 * time.Minute, Memory: 512 << 20, Disk: 256 << 20, Processes: 200, Log: 8 << 20, Output: 64 << 20}

// rig is a sandbox, and an index with what builds need.
type rig struct {
	sandbox      *sandbox.Sandbox
	index        http.Handler
	input        string
	environments *build.Environments
}

func newRig(t *testing.T) rig {
	t.Helper()
	input := rootlab.Packages(t)
	return rig{rootlab.Sandbox(t), rootlab.Index(t, input), input, &build.Environments{}}
}

// request asks for a wheel on a root.
func (r rig) request(t *testing.T, root, name, version, sdist, digest string) build.Request {
	t.Helper()
	return build.Request{Sandbox: r.sandbox, Root: rootlab.Root(t, root), Platform: rootlab.Platforms[root], SDist: sdist, SHA256: digest,
		Name: name, Version: version, Dir: t.TempDir(), Index: r.index, Environments: r.environments, IndexState: "1", Limits: limits}
}

func run(t *testing.T, r build.Request) build.Result {
	t.Helper()
	res, err := build.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(r.Dir, res.Log))
	if err != nil || len(log) == 0 {
		t.Fatal("no log: ", err)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("%s %s: class %q, %s, %s, %d MB; log of %d bytes ends in %q", r.Name, r.Version, res.Class, res.Message, res.Time.Round(time.Millisecond), res.MaxMemory>>20, len(log), log[max(0, len(log)-300):])
	}
	return res
}
