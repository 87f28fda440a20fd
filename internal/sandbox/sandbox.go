// Package sandbox runs one command in a platform's root so that it can neither see nor harm anything outside.
//
// The root is a directory tree such as debootstrap makes. It is read-only, /tmp
// and /home are private and of limited size, and all the network there is is one
// loopback address behind which the caller's HTTP handler answers. bubblewrap
// makes the namespaces; what it does not do is done around it: a real user of
// its own per command, a filter of system calls, memory and processes limited by
// cgroup for each and for all together, everything of the cgroup killed at the end. A command that is not trusted may do what it likes
// in there and is told by its Outcome.
//
// What is missing for that on this machine is fault.Config. Mode None does
// without all of it, for those who trust what they run.
package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"time"

	"mirrorcycle/internal/fault"
)

// Modes of a sandbox.
const (
	Bubblewrap = "bwrap" // also ""
	None       = "none"
)

// Config says how commands are contained. The zero value is the full sandbox.
type Config struct {
	Mode string
	// FirstUID is the first of UIDs users that commands run as, one each. They
	// must belong to nobody. Defaults: 2000000000, above all ranges that systemd
	// and container engines give out, and 256. bubblewrap takes none from 2^31 on.
	FirstUID, UIDs int
	// Run holds a lock file per user in use; default /run/mirrorcycle/sandbox.
	// All workers of a machine must agree on it.
	Run string
	// Group is the cgroup of all commands; default mirrorcycle. HostMemory (bytes)
	// and HostProcesses bound it; default three quarters of the memory, and half of
	// the processes. All workers of a machine should agree on them.
	Group         string
	HostMemory    int64
	HostProcesses int
}

// Limits of one command; zero values are replaced by defaults.
type Limits struct {
	Timeout   time.Duration // by the wall clock; default 30m
	Memory    int64         // bytes of all processes together; default 2 GiB
	Disk      int64         // bytes in /tmp; default 2 GiB. It is memory too, and limited in addition to Memory.
	Processes int           // and threads; default 512, or 32 for each core
	Log       int64         // bytes of stdout and stderr, default 64 MiB; the middle of more than 1 MiB is not kept
	Output    int64         // bytes on file descriptor 3; default 1 GiB
}

func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def((*int64)(&l.Timeout), int64(30*time.Minute))
	def(&l.Memory, 2<<30)
	def(&l.Disk, 2<<30)
	def(&l.Log, 64<<20)
	def(&l.Output, 1<<30)
	if l.Processes <= 0 {
		l.Processes = defaultProcesses()
	}
	return l
}

// File is put into the sandbox before the command starts.
type File struct {
	Name    string   // below /tmp, such as "in/a.tar.gz"
	Content *os.File // read to its end
}

// Command is what to run.
type Command struct {
	Root  string // absolute; in mode None "" or "/" is the machine itself
	Args  []string
	Files []File
	// Env is the whole environment but PATH, HOME, TMPDIR and LANG; index is the
	// URL of Index, "" without one, and tmp the private directory: /tmp, except
	// in mode None.
	Env    func(index, tmp string) []string
	Index  http.Handler // nil: no network at all
	Output io.Writer    // gets what the command writes to file descriptor 3; nil: nothing
	Limits Limits
}

// Outcome is how a command ended.
type Outcome struct {
	Exit      int  // exit status, 128 + signal if one ended it
	TimedOut  bool // the following three were ended by us
	LogLimit  bool
	OutLimit  bool
	OOMKills  int           // processes that the kernel killed for want of memory
	Refused   int           // forks that were refused
	MaxMemory int64         // bytes, 0 if unknown; what is in /tmp included
	Time      time.Duration // by the wall clock
	Log       Log
}

// Sandbox runs commands, any number of them at a time.
type Sandbox struct {
	cfg    Config
	tools  tools
	groups controllers
}

// Open looks for what the sandbox needs, and ends what commands of dead workers
// left behind. Something missing is fault.Config.
func Open(cfg Config) (*Sandbox, error) {
	if cfg.FirstUID == 0 {
		cfg.FirstUID = 2_000_000_000
	}
	if cfg.UIDs == 0 {
		cfg.UIDs = 256
	}
	if cfg.Run == "" {
		cfg.Run = "/run/mirrorcycle/sandbox"
	}
	s := &Sandbox{cfg: cfg}
	switch cfg.Mode {
	case None:
		return s, nil
	case "", Bubblewrap:
	default:
		return nil, missing("mode "+cfg.Mode, nil, `sandbox is "bwrap" or "none"`)
	}
	if last := cfg.FirstUID + cfg.UIDs - 1; last > math.MaxInt32 { // bubblewrap writes it with a sign
		return nil, missing(fmt.Sprintf("user %d", last), nil, "choose users below 2147483648")
	}
	if os.Geteuid() != 0 {
		return nil, missing("root", nil, "run the build worker as root: it gives each build a user and a cgroup of its own")
	}
	var err error
	if s.tools, err = findTools(); err != nil {
		return nil, err
	}
	if s.groups, err = findControllers("/proc/self/mountinfo", cmp.Or(cfg.Group, defaultParent)); err != nil {
		return nil, err
	}
	if err := s.groups.bound(cfg.hostLimits()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Run, 0o755); err != nil {
		return nil, missing("directory for locks", err, "make "+cfg.Run+" writable")
	}
	return s, s.sweep()
}

// Fixed reports whether the private directory is the same path for all commands.
func (s *Sandbox) Fixed() bool { return s.cfg.Mode != None }

// Run runs the command to its end and ends all it started. How the command
// ended, even by a limit, is the Outcome; the error is ours: fault.Config if the
// sandbox cannot be made, ctx's error if it was cancelled.
func (s *Sandbox) Run(ctx context.Context, c Command) (Outcome, error) {
	c.Limits = c.Limits.withDefaults()
	if s.cfg.Mode == None {
		return s.plain(ctx, c)
	}
	return s.contained(ctx, c)
}

const noSandbox = `; or say sandbox = "none" if everything that is built is trusted`

func missing(what string, err error, advice string) error {
	return &fault.Error{Kind: fault.Config, Op: "sandbox: need", Subject: what, Err: err, Advice: advice + noSandbox}
}
