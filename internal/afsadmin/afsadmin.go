// Package afsadmin plans and makes what mirrors need in an AFS cell: volumes, sites, quotas, mount points and rights.
//
// A plan is the difference between what the spec wants and what the volume
// location database, the servers and the client say; Plan is pure. Make does
// one step, looks again, and goes on only if the step is not in the plan any
// more: what vos printed or exited with decides nothing.
package afsadmin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/vos"
	"mirrorcycle/mirrorspec"
)

// Volume is what the spec wants of one volume.
type Volume struct {
	Name      string
	Mirror    string // whose tree it holds; "" for the volume of state
	Mount     string // path of its read-write mount point
	Server    string // where to make it: host name or address
	Partition string // "a"
	Quota     int64  // KB
	Sites     []Site // none for the volume of state, which is never released
	Writer    string // AFS user that writes it, "" if that is the cell's own key
}

// Site is a read-only site that the spec wants, of one region.
type Site struct {
	Region    string
	Server    string // host name or address
	Partition string
}

// State is what there is.
type State struct {
	Volumes   map[string]Found
	Addresses map[string][]netip.Addr // of the servers that Volumes name
	Mounts    map[string]Mount        // by path
}

// Found is a volume that the database knows.
type Found struct {
	Entry   vos.Entry
	RW      *vos.Instance // nil if its server does not say
	Written bool          // a generation was committed into it, so releases are up to the cycle
}

// Mount is what the client of this host says of a path.
type Mount struct {
	Exists    bool              // there is something
	Published bool              // and below the read-only path as well, where clients read
	Asked     bool              // a kernel client with fs answered, so that the rest is known
	Volume    string            // what is mounted there, "" if it is no mount point
	Rights    map[string]string // ACL of its root directory: user or group to rights
}

// Tool is who can do a step.
type Tool string

// The tools.
const (
	Vos  Tool = "vos"
	FS   Tool = "fs" // with the tokens of whoever runs it
	Hand Tool = "by hand"
)

// Step is one thing that is missing.
type Step struct {
	Volume  string   `json:"volume"`
	Missing string   `json:"missing"`           // in words
	Command []string `json:"command,omitempty"` // what makes it
	Tool    Tool     `json:"tool"`
}

// String renders the step as setup prints it.
func (s Step) String() string {
	text := s.Volume + ": " + s.Missing
	if len(s.Command) > 0 {
		text += "\n    " + strings.Join(s.Command, " ")
	}
	return text
}

// Cell says how to reach the cell, and with whose rights.
type Cell struct {
	Name      string
	Localauth bool   // with the cell's own key, on a server host
	Principal string // else with tickets for this principal
	Keytab    string // from this file
	Enter     []string
}

// CellOf returns the cell of a spec with the rights of releases.
func CellOf(a mirrorspec.AFS) Cell {
	return Cell{Name: a.Cell, Localauth: a.Auth == mirrorspec.AuthLocalauth, Principal: a.ReleasePrincipal, Keytab: a.ReleaseKeytab}
}

// Ask runs a vos command that only reads, without rights.
func (c Cell) Ask(ctx context.Context, args ...string) ([]byte, error) {
	return c.Run(ctx, append(append([]string{"vos"}, args...), "-cell", c.Name, "-noresolve", "-noauth")...)
}

// Change runs a vos command with the rights to change something.
func (c Cell) Change(ctx context.Context, args ...string) ([]byte, error) {
	list := append(append([]string{"vos"}, args...), "-cell", c.Name, "-noresolve")
	if c.Localauth {
		return c.Run(ctx, append(list, "-localauth")...)
	}
	return c.Run(ctx, append([]string{"k5start", "-q", "-t", "-f", c.Keytab, c.Principal, "--"}, list...)...)
}

const runTime = 10 * time.Minute // a first release copies an empty volume

// Run runs a command in the cell. The error's kind says whether to try again.
func (c Cell) Run(ctx context.Context, list ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	list = append(append([]string(nil), c.Enter...), list...)
	cmd := exec.CommandContext(ctx, list[0], list[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), nil
	case errors.As(err, &exit):
		return out.Bytes(), vos.Classify(exit.ExitCode(), out.Bytes(), errs.Bytes())
	case errors.Is(err, exec.ErrNotFound):
		return nil, &fault.Error{Kind: fault.Config, Op: "afsadmin: run", Subject: list[0], Err: err, Advice: "install openafs-client, openafs-krb5 and kstart"}
	}
	return nil, fmt.Errorf("afsadmin: run %s: %w", list[0], err)
}
