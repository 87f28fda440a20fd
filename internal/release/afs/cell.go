package afs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/vos"
)

// Cell says how vos is run.
type Cell struct {
	Name      string
	Localauth bool   // with the cell's own key, on a server host
	Principal string // else with tickets for this principal
	Keytab    string // from this file
	// Enter is put before every command: how to get to a host of the cell from here.
	Enter []string
}

// command returns the argument list of a vos command with the rights to change something.
func (c Cell) command(args ...string) []string {
	list := append(append([]string{"vos"}, args...), "-cell", c.Name, "-noresolve")
	if c.Localauth {
		list = append(list, "-localauth")
	} else {
		// A ticket cache and a token group of its own. vos takes its token when it
		// begins, so the ticket has to outlive the longest release: it is asked for
		// as long as the realm gives one.
		list = append([]string{"k5start", "-q", "-t", "-l", "30d", "-f", c.Keytab, c.Principal, "--"}, list...)
	}
	return append(append([]string(nil), c.Enter...), list...)
}

const queryTime = 2 * time.Minute

// ask runs a vos command that only reads, without rights.
func (c Cell) ask(ctx context.Context, args ...string) ([]byte, error) {
	list := append(append(append([]string(nil), c.Enter...), "vos"), args...)
	return run(ctx, append(list, "-cell", c.Name, "-noresolve", "-noauth"))
}

// change runs a vos command that changes the database or a server, other than a release.
func (c Cell) change(ctx context.Context, args ...string) error {
	_, err := run(ctx, c.command(args...))
	return err
}

// run runs a short command. The error's kind says whether to try again.
func run(ctx context.Context, list []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, list[0], list[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C") // vos prints times without a zone
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), nil
	case errors.As(err, &exit):
		return out.Bytes(), vos.Classify(exit.ExitCode(), out.Bytes(), errs.Bytes())
	case errors.Is(err, exec.ErrNotFound):
		return nil, &fault.Error{Kind: fault.Config, Op: "afs: run", Subject: list[0], Err: err, Advice: "install openafs-client and kstart"}
	}
	return nil, fmt.Errorf("afs: run %s: %w", list[0], err)
}

// examine returns what the read-write volume's server says of it.
func (b *Backend) examine(ctx context.Context) (vos.Instance, error) {
	out, err := b.Cell.ask(ctx, "examine", b.Volume, "-format")
	if err != nil {
		return vos.Instance{}, fmt.Errorf("afs: examine volume %s: %w", b.Volume, err)
	}
	all, err := vos.ParseExamine(out)
	if err == nil && (len(all) == 0 || all[0].Status != "OK") {
		err = &fault.Error{Kind: fault.Unavailable, Op: "afs: examine volume", Subject: b.Volume, Err: errors.New("a transaction has it"), Advice: "try again"}
	}
	if err != nil {
		return vos.Instance{}, err
	}
	return all[0], nil
}

// Room returns how many bytes may still be written to the read-write volume:
// what its quota leaves, and no more than its partition has free. It asks the
// servers; a client would say what it likes. Of a tree in parts it is the room
// of the roomiest: which of them a plan fills is not looked at.
func (b *Backend) Room(ctx context.Context) (int64, error) {
	most, err := b.room(ctx)
	for _, volume := range b.Parts {
		if err != nil {
			return 0, err
		}
		o := b.Options
		o.Volume = volume
		var here int64
		here, err = New(o).room(ctx)
		most = max(most, here)
	}
	return most, err
}

func (b *Backend) room(ctx context.Context) (int64, error) {
	v, err := b.examine(ctx)
	if err != nil {
		return 0, err
	}
	free, err := b.partition(ctx, v.Server, v.Partition)
	if err != nil {
		return 0, err
	}
	room := int64(math.MaxInt64)
	if v.Quota > 0 {
		room = max(0, v.Quota-v.Used) << 10
	}
	return min(room, free<<10), nil
}

// partition returns the free KB of a partition.
func (b *Backend) partition(ctx context.Context, server netip.Addr, name string) (int64, error) {
	out, err := b.Cell.ask(ctx, "partinfo", "-server", server.String(), "-partition", name)
	if err != nil {
		return 0, fmt.Errorf("afs: look at partition %s of %s: %w", name, server, err)
	}
	parts, err := vos.ParsePartinfo(out)
	if err != nil {
		return 0, err
	}
	for _, p := range parts {
		if p.Name == name {
			return p.Free, nil
		}
	}
	return 0, &fault.Error{Kind: fault.Config, Op: "afs: look at partition", Subject: name, Err: fmt.Errorf("server %s has none of that name", server)}
}

// findFull says of sites that did not get the volume whether its partition was
// too full for that: vos itself only tells of problems with the dump.
func (b *Backend) findFull(ctx context.Context, v *view, want int64) {
	for _, s := range v.sites {
		if s.holds(want) || v.silent(s.Server) {
			continue
		}
		lacks, err := b.lacks(ctx, s)
		if err != nil {
			continue // the site keeps the reason that vos gave
		}
		if free, err := b.partition(ctx, s.Server, s.Partition); err == nil && free < lacks {
			s.Err = &fault.Error{Kind: fault.NoSpace, Op: "afs: release to", Subject: s.name(),
				Err:    fmt.Errorf("its partition has %d KB free, the site lacks %d KB", free, lacks),
				Advice: "free space on the partition, or move the site (vos remsite, vos addsite)"}
		}
	}
}

// lacks returns how many KB the read-write volume is larger than a site's copy,
// at least a tenth of it: what a release that broke off left claims to be whole.
func (b *Backend) lacks(ctx context.Context, s *site) (int64, error) {
	used := func(volume string, at func(vos.Instance) bool) (int64, error) {
		out, err := b.Cell.ask(ctx, "examine", volume, "-format")
		if len(out) == 0 && err != nil {
			return 0, err
		}
		all, err := vos.ParseExamine(out)
		for _, i := range all {
			if at(i) {
				return i.Used, nil
			}
		}
		return 0, err
	}
	whole, err := used(b.Volume, func(vos.Instance) bool { return true })
	if err != nil {
		return 0, err
	}
	has, err := used(b.Volume+".readonly", func(i vos.Instance) bool { return i.Server == s.Server && i.Partition == s.Partition })
	return max(whole-has, whole/10), err
}
