package build

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/sdist"
)

//go:embed environment.py
var environmentScript string

// Environments keeps what builds begin in: fresh environments with the build
// requirements installed, each a tar archive that a build unpacks for itself
// alone. One is made, in a sandbox of its own, for each set of requirements on a
// platform's root and state of the index. pip may only install wheels there,
// whose digests the index tells, and nothing of them is run, so no project can
// put anything into another's environment. The archives are files without a
// name: they go with the process. The zero value works.
type Environments struct {
	mu   sync.Mutex
	held map[string]*environment
}

// maxEnvironments bounds the archives of all environments, in bytes.
const maxEnvironments = 1 << 30

type environment struct {
	turn sync.Mutex // of who makes it
	made bool
	tar  *os.File // nil: pip could not make one of wheels
	size int64
	used time.Time
}

// take opens the environment of a request; nil if pip has to make one in the
// build itself.
func (e *Environments) take(ctx context.Context, r Request, needs sdist.Needs) (*os.File, error) {
	if e == nil || r.IndexState == "" || !r.Sandbox.Fixed() || !plain(needs.Build) {
		return nil, nil
	}
	wanted := slices.Sorted(slices.Values(needs.Build))
	key, err := json.Marshal([]any{r.Root, r.Platform, r.IndexPath, r.IndexState, slices.Compact(wanted), r.Constraints})
	if err != nil {
		return nil, err
	}
	env := e.entry(string(key))
	env.turn.Lock()
	defer env.turn.Unlock()
	if !env.made {
		if env.tar, env.made, err = r.install(ctx, wanted); err != nil {
			return nil, err
		}
		if err := e.account(env); err != nil {
			return nil, err
		}
	}
	if env.tar == nil {
		return nil, nil
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", env.tar.Fd())) // with a position of its own
}

func (e *Environments) entry(key string) *environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == nil {
		e.held = map[string]*environment{}
	}
	if e.held[key] == nil {
		e.held[key] = &environment{}
	}
	e.held[key].used = time.Now()
	return e.held[key]
}

// account counts a new archive, and forgets those that were not used for longest.
func (e *Environments) account(env *environment) error {
	if env.tar != nil {
		st, err := env.tar.Stat()
		if err != nil {
			return err
		}
		env.size = st.Size()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var sum int64
	for _, key := range slices.SortedFunc(maps.Keys(e.held), func(a, b string) int { return e.held[b].used.Compare(e.held[a].used) }) {
		// Whoever opened it has it open; the file ends with the last who has.
		if sum += e.held[key].size; sum > maxEnvironments && e.held[key] != env {
			delete(e.held, key)
		}
	}
	return nil
}

// plain tells requirements that an index alone can satisfy.
func plain(needs []string) bool {
	for _, n := range needs {
		if r, err := requirements.Parse(n); err != nil || r.URL != "" || strings.ContainsAny(n, "\r\n\x00") {
			return false
		}
	}
	return true
}

// install has pip install requirements into an environment. It is decided, with
// or without a file, unless something came between that another time may not.
func (r Request) install(ctx context.Context, wanted []string) (tar *os.File, decided bool, err error) {
	tar, err = unnamed("mirrorcycle-environment-")
	if err != nil {
		return nil, false, err
	}
	script, err := poured(environmentScript)
	if err != nil {
		return nil, false, errors.Join(err, tar.Close())
	}
	defer script.Close()
	files := []sandbox.File{{Name: "environment.py", Content: script}}
	bounds, err := r.bounds()
	if err != nil {
		return nil, false, errors.Join(err, tar.Close())
	}
	if bounds != nil {
		defer bounds.Close()
		files = append(files, sandbox.File{Name: "constraints.txt", Content: bounds})
	}
	out, err := r.Sandbox.Run(ctx, sandbox.Command{
		Root:   r.Root,
		Args:   append([]string{"sh", "-c", `exec "$0" -I "$TMPDIR/environment.py" "$MIRRORCYCLE_INDEX" "$TMPDIR" "$@"`, "python" + r.Platform.Python}, wanted...),
		Files:  files,
		Index:  r.Index,
		Output: tar,
		Limits: r.Limits,
		Env:    func(index, _ string) []string { return r.environment(index + r.IndexPath) },
	})
	if err == nil && out.Exit == 0 && !out.OutLimit && !out.LogLimit {
		return tar, true, nil
	}
	decided = err == nil && !out.TimedOut && out.OOMKills == 0 && out.Refused == 0 && out.Exit < 128
	return nil, decided, errors.Join(err, tar.Close())
}

// unnamed makes a file that goes when it is closed.
func unnamed(pattern string) (*os.File, error) {
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// poured is an unnamed file with a text, at its beginning.
func poured(text string) (*os.File, error) {
	f, err := unnamed("mirrorcycle-build-")
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
