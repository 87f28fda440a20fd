package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// allowance is what this worker's own configuration lets messages ask of it:
// what its flags name, and what its own copy of the spec does.
type allowance struct {
	flags   activities.Permit
	spec    string // file
	asked   bool   // the file was named by --spec, so it has to be there
	limited bool   // paths are named by flags
}

// permitFlags defines the flags that say what messages may ask of this worker.
func permitFlags(set *flag.FlagSet) *allowance {
	a := &allowance{flags: activities.Permit{Sandbox: []string{mirrorspec.Bubblewrap}}}
	set.Func("spec", "the worker's own spec: what it names is allowed, and is read anew when it lacks something (default $MIRRORCYCLE_SPEC, then ./mirrors.toml, unless --dirs, --files or --roots is given)",
		func(text string) error {
			a.spec, a.asked = text, true
			return nil
		})
	for name, f := range map[string]struct {
		to    *[]string
		usage string
	}{
		"dirs":           {&a.flags.Dirs, "directories in which a spec's storage, regions and sites may be"},
		"roots":          {&a.flags.Roots, "directories in which roots of platforms may be"},
		"files":          {&a.flags.Files, "files, and directories of files, that a spec may name: keyrings, netrc, certificates, requirements"},
		"sandbox":        {&a.flags.Sandbox, "how wheels may be built: bubblewrap, none (default bubblewrap)"},
		"internal-hosts": {&a.flags.Internal, "hosts, host:port, addresses and networks inside that upstreams may lead to, although the spec does not name them"},
	} {
		set.Func(name, f.usage+"; separated by commas", func(text string) error {
			*f.to = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			a.limited = a.limited || name == "dirs" || name == "roots" || name == "files"
			return nil
		})
	}
	return a
}

// read is what is allowed now.
func (a *allowance) read() (activities.Permit, error) {
	file := a.spec
	if !a.asked {
		if a.limited {
			return a.flags, nil
		}
		if file = os.Getenv("MIRRORCYCLE_SPEC"); file == "" {
			file = "mirrors.toml"
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return a.flags, nil
		}
	}
	spec, err := mirrorspec.Load(file)
	if err != nil {
		return activities.Permit{}, fmt.Errorf("%w: --spec: %w", fault.Config, err)
	}
	return a.flags.And(activities.PermitOf(spec)), nil
}

// renew reads the spec again: what changed there is allowed without a new
// start. A spec that cannot be read allows nothing more.
func (a *allowance) renew(log *slog.Logger) func() activities.Permit {
	return func() activities.Permit {
		p, err := a.read()
		if err != nil {
			log.Warn("the worker's own spec cannot be read", "error", err)
			return a.flags
		}
		return p
	}
}
