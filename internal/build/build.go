// Package build turns one source distribution into one proved wheel, in a sandbox.
//
// The sdist is built by the root's own Python in a fresh environment; what it
// needs to be built is installed by the root's pip from the index that the caller
// serves and from nowhere else. Whatever happens in there is a Result: a wheel whose name,
// version, tags, METADATA and RECORD are what was asked for, or a class of failure
// with a message and a log. An error is this machine's or the caller's fault.
package build

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/sdist"
	"mirrorcycle/internal/wheel"
)

//go:embed build.py
var driver string

// Request asks for one wheel.
type Request struct {
	Sandbox  *sandbox.Sandbox
	Root     string         // of the platform; what sandbox.Command says of it
	Platform wheel.Platform // its Python builds, its tags must fit
	SDist    string         // path; its base name is a file name of the project
	SHA256   string         // of the sdist, in hexadecimal
	Name     string
	Version  string
	// Dir is an existing directory that gets the wheel and the log; nothing else
	// is written outside the sandbox.
	Dir string
	// Index answers the sandbox's requests; IndexPath is where its simple index
	// begins, default /simple/.
	Index     http.Handler
	IndexPath string
	// Environments keeps what builds begin in while IndexState, which names what
	// Index answers now, is the same. Without them pip makes one in each build.
	Environments *Environments
	IndexState   string
	Limits       sandbox.Limits
	// Constraints are lines that bound what is installed for the build.
	Constraints []string
	// Epoch is the time that everything in the wheel bears (SOURCE_DATE_EPOCH);
	// default is that of the sdist's newest member. A zip archive begins with 1980.
	Epoch time.Time
}

// Result is a wheel, or why there is none.
type Result struct {
	Class   Class  // "" if there is a wheel
	Message string // one line about the failure
	Log     string // file name in Dir; it exists whatever the class

	File   string // the wheel's file name in Dir
	SHA256 string // in hexadecimal
	Size   int64  // bytes
	Report wheel.Report

	Time      time.Duration
	MaxMemory int64 // bytes, what was on the private disk included; 0 if unknown
}

// LogName is the log's file name.
const LogName = "build.log"

// Build builds. What the sandbox lacks is fault.Config. Two builds of one request give the same
// bytes as far as the project's own build is deterministic.
func Build(ctx context.Context, r Request) (Result, error) {
	archive, err := r.open()
	if err != nil {
		class := Source
		if errors.Is(err, fault.Hostile) {
			class = BadSDist
		}
		return r.finish(Result{Class: class, Message: oneLine(err.Error())}, sandbox.Outcome{})
	}
	defer archive.Close()
	r.IndexPath = cmp.Or(r.IndexPath, "/simple/")
	if r.Epoch.Before(oldest) || r.Epoch.After(newest) {
		if r.Epoch, err = newestMember(archive); err != nil {
			return r.finish(Result{Class: BadSDist, Message: oneLine(err.Error())}, sandbox.Outcome{})
		}
	}
	output, err := os.CreateTemp(r.Dir, ".output-")
	if err != nil {
		return Result{}, fmt.Errorf("build: make output: %w", err)
	}
	defer os.Remove(output.Name())
	defer output.Close()
	out, err := r.run(ctx, archive, output)
	if err != nil {
		return Result{}, fmt.Errorf("build: %s %s: %w", r.Name, r.Version, err)
	}
	res := Result{Time: out.Time, MaxMemory: out.MaxMemory}
	res.Class, res.Message = classify(out)
	if res.Class == "" {
		err := r.collect(output, &res)
		if wrong := (*wrongWheel)(nil); errors.As(err, &wrong) {
			res = Result{Class: WrongWheel, Message: oneLine(wrong.Error()), Time: out.Time, MaxMemory: out.MaxMemory}
		} else if err != nil {
			return Result{}, fmt.Errorf("build: keep the wheel: %w", err)
		}
	}
	return r.finish(res, out)
}

// open checks the sdist's name and digest and leaves it at its beginning.
func (r Request) open() (*os.File, error) {
	if base := filepath.Base(r.SDist); strings.HasPrefix(base, "-") || strings.ContainsAny(base, "[]@;#%") {
		return nil, &fault.Error{Kind: fault.Hostile, Op: "build: take sdist", Subject: r.SDist, Err: errors.New("file name that pip would read as something else")}
	}
	f, err := os.Open(r.SDist)
	if err != nil {
		return nil, fmt.Errorf("build: open sdist: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("build: read %s: %w", r.SDist, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(r.SHA256) {
		_ = f.Close()
		return nil, &fault.Error{Kind: fault.Unproved, Op: "build: take sdist", Subject: r.SDist, Err: fmt.Errorf("sha256 %s, want %s", got, r.SHA256),
			Advice: "it changed since it was mirrored: verify the index's mirror"}
	}
	return f, nil
}

func (r Request) run(ctx context.Context, archive *os.File, output io.Writer) (sandbox.Outcome, error) {
	script, err := poured(driver)
	if err != nil {
		return sandbox.Outcome{}, err
	}
	defer script.Close()
	name := filepath.Base(r.SDist)
	files := []sandbox.File{{Name: "in/" + name, Content: archive}, {Name: "build.py", Content: script}}
	bounds, err := r.bounds()
	if err != nil {
		return sandbox.Outcome{}, err
	}
	if bounds != nil {
		defer bounds.Close()
		files = append(files, sandbox.File{Name: "constraints.txt", Content: bounds})
	}
	backend := []byte("{}")
	// What cannot be read is for pip to refuse.
	if needs, err := sdist.Read(archive, name); err == nil {
		if backend, err = json.Marshal(map[string]any{"requires": append([]string{}, needs.Build...), "backend": needs.Backend,
			"path": append([]string{}, needs.BackendPath...)}); err != nil {
			return sandbox.Outcome{}, err
		}
		env, err := r.Environments.take(ctx, r, needs)
		if err != nil {
			return sandbox.Outcome{}, fmt.Errorf("make an environment: %w", err)
		}
		if env != nil {
			defer env.Close()
			files = append(files, sandbox.File{Name: "environment.tar", Content: env})
		}
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return sandbox.Outcome{}, err
	}
	return r.Sandbox.Run(ctx, sandbox.Command{
		Root: r.Root,
		// The shell is there to name the private directory, which only the environment does.
		Args:   []string{"sh", "-c", `exec "$0" -I "$TMPDIR/build.py" "$TMPDIR/in/$1" "$MIRRORCYCLE_INDEX" "$TMPDIR" "$2"`, "python" + r.Platform.Python, name, string(backend)},
		Files:  files,
		Index:  r.Index,
		Output: output,
		Limits: r.Limits,
		Env:    func(index, _ string) []string { return r.environment(index + r.IndexPath) },
	})
}

// bounds is a file of the constraints; nil if there are none.
func (r Request) bounds() (*os.File, error) {
	if len(r.Constraints) == 0 {
		return nil, nil
	}
	return poured(strings.Join(r.Constraints, "\n") + "\n")
}

// environment makes a build repeatable: no user's configuration, no clock and no
// hash order. build.py adds the compiler's flags, which only the root's Python knows.
func (r Request) environment(index string) []string {
	return []string{"MIRRORCYCLE_INDEX=" + index, "PIP_CONFIG_FILE=/dev/null", "PYTHONHASHSEED=0", "PYTHONNOUSERSITE=1", "TZ=UTC",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.Epoch.Unix())}
}

// finish writes the log.
func (r Request) finish(res Result, out sandbox.Outcome) (Result, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s for python %s on %s, from %s (sha256 %s), SOURCE_DATE_EPOCH=%d\n\n", r.Name, r.Version, r.Platform.Python, r.Platform.Machine,
		filepath.Base(r.SDist), r.SHA256, r.Epoch.Unix())
	b.Write(out.Log.Bytes())
	switch {
	case res.Class != "":
		fmt.Fprintf(&b, "\n%s: %s\n", res.Class, res.Message)
	default:
		fmt.Fprintf(&b, "\nbuilt %s (sha256 %s): %s\n", res.File, res.SHA256, res.Report)
	}
	res.Log = LogName
	if err := os.WriteFile(filepath.Join(r.Dir, LogName), []byte(b.String()), 0o644); err != nil {
		return Result{}, fmt.Errorf("build: write log: %w", err)
	}
	return res, nil
}
