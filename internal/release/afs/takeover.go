package afs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// settled looks at the volume when nothing of ours is under way any more: it
// waits for a run that is alive, and clears up after one that is dead. A lock
// of somebody else is refused.
func (b *Backend) settled(ctx context.Context, earlier *view) (*view, error) {
	v, err := b.look(ctx, earlier)
	if err != nil {
		return nil, err
	}
	j, err := b.lastRun()
	if err != nil {
		return nil, err
	}
	if j != nil && j.Ended.IsZero() {
		if err := b.takeOver(ctx, j, v); err != nil {
			return nil, err
		}
		if v, err = b.look(ctx, v); err != nil {
			return nil, err
		}
	}
	if v.entry.Locked {
		return nil, &fault.Error{Kind: fault.Conflict, Op: "afs: publish", Subject: b.Volume,
			Err:    errors.New("the volume's entry is locked, and no run of this mirror's journal locked it"),
			Advice: "find out who works on it (vos status); if nobody does: vos unlock " + b.Volume}
	}
	return v, nil
}

// takeOver ends a run that has no end in the journal.
func (b *Backend) takeOver(ctx context.Context, j *attempt, v *view) error {
	host, _ := os.Hostname()
	switch {
	case j.Host == host && j.Boot == bootID():
		if err := b.awaitDeath(ctx, j); err != nil {
			return err
		}
	case j.Host == host: // the host was started anew
	case b.Now().Before(j.Deadline):
		return &fault.Error{Kind: fault.Unavailable, Op: "afs: publish", Subject: b.Volume,
			Err:    fmt.Errorf("a release of generation %d that %s began at %s may still be going on", j.Generation, j.Host, j.Started.Format(time.RFC3339)),
			Advice: "wait until " + j.Deadline.Format(time.RFC3339) + ", or run a worker on " + j.Host}
	default:
		if err := b.motionless(ctx, v); err != nil {
			return err
		}
	}
	if err := b.open(j); err != nil {
		return err
	}
	if b.harmless(j) {
		return errors.Join(tree.Thaw(b.State), b.end(j, "left nothing behind"))
	}
	if err := b.clearUp(ctx, j, v); err != nil {
		return err
	}
	if err := b.open(j); err != nil {
		return err
	}
	// Its clone was made or never will be: commits need not wait any longer.
	if err := tree.Thaw(b.State); err != nil {
		return err
	}
	b.Crash("release/recovered")
	return b.end(j, clearedUp+b.Holder)
}

// harmless tells whether vos was never started in run j, or did not get the
// lock: then it left nothing behind, and a lock that is there now is not ours.
func (b *Backend) harmless(j *attempt) bool {
	text, err := os.ReadFile(b.logPath(j.n))
	// Later k5start says so when it renews the ticket of a vos that is at work.
	return errors.Is(err, os.ErrNotExist) || bytes.HasPrefix(text, []byte("k5start: error getting credentials")) ||
		slices.ContainsFunc(unlocked, func(s string) bool { return bytes.Contains(text, []byte(s)) })
}

// unlocked are parts of what vos prints when it does not get the lock.
var unlocked = []string{"already locked", "currently LOCKED", "Could not lock the VLDB entry"}

// clearUp removes what the dead run j left in the cell: transactions on the
// volume that began while a run of this journal was under way, and the lock.
func (b *Backend) clearUp(ctx context.Context, j *attempt, v *view) error {
	e, err := b.entry(ctx)
	if err != nil {
		return err
	}
	others, err := b.endOurs(ctx, e, v, func() error { return b.open(j) })
	if err != nil || !e.Locked {
		return err
	}
	if len(others) > 0 {
		return &fault.Error{Kind: fault.Conflict, Op: "afs: clear up", Subject: b.Volume,
			Err:    fmt.Errorf("transaction %d did not begin during a run of ours that died", others[0].ID),
			Advice: "somebody else works on the volume: wait for the end, or vos endtrans"}
	}
	if err := b.open(j); err != nil {
		return err
	}
	if err := b.Cell.change(ctx, "unlock", b.Volume); err != nil {
		return fmt.Errorf("afs: unlock volume %s after a run that died: %w", b.Volume, err)
	}
	return nil
}

// endOurs ends what runs of this journal have left open at the servers of the
// volume, and returns the transactions that are none of ours. A server that
// does not answer keeps what it has, for up to ten minutes after it answers
// again: so the next release looks, too. Before anything is ended, still asks
// whether this attempt is still the one to do so.
func (b *Backend) endOurs(ctx context.Context, e vos.Entry, v *view, still func() error) (others []vos.Transaction, err error) {
	runs, err := b.journal()
	if err != nil {
		return nil, err
	}
	for _, server := range servers(e) {
		if v.silent(server) {
			continue
		}
		all, err := b.transactions(ctx, server, e)
		if errors.Is(err, fault.Unavailable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			ours := slices.ContainsFunc(runs, func(j *attempt) bool { return j.mayHave(t) })
			switch {
			case strings.Contains(t.Procedure, "Dump"): // a backup, never part of a release
			case !ours:
				others = append(others, t)
			default:
				if err := still(); err != nil {
					return nil, err
				}
				// An error means that it has ended by itself meanwhile, or the release will say so.
				_ = b.Cell.change(ctx, "endtrans", "-server", server.String(), "-transaction", strconv.FormatUint(uint64(t.ID), 10))
			}
		}
	}
	return others, nil
}

// leftovers ends what a run that failed left at servers that could not be asked
// then: a site with an open transaction is busy, and would miss this release too.
func (b *Backend) leftovers(ctx context.Context, v *view) error {
	last, err := b.lastRun()
	if err != nil || last == nil || !last.clearedUp() {
		return err
	}
	e, err := b.entry(ctx)
	if err != nil || e.Locked {
		return err // vos will say that somebody works on the volume
	}
	_, err = b.endOurs(ctx, e, v, func() error {
		now, err := b.lastRun()
		if err == nil && now.n != last.n {
			err = b.faster(now.n)
		}
		return err
	})
	return err
}

const clearedUp = "cleared up by "

func (j *attempt) clearedUp() bool { return strings.HasPrefix(j.End, clearedUp) }

// mayHave tells whether run j was under way when t was begun, and may have left it.
func (j *attempt) mayHave(t vos.Transaction) bool {
	if !j.Ended.IsZero() && !j.clearedUp() {
		return false // it came to its own end, or to none at all
	}
	end := j.Exited
	if end.IsZero() {
		end = j.Ended // killed, some time before
	}
	if end.IsZero() || j.Deadline.Before(end) {
		end = j.Deadline // one that hangs is killed then, or by whoever comes next
	}
	return !t.Created.Before(j.Started.Add(-skew)) && !t.Created.After(end.Add(skew))
}

// skew is how far the clocks of this host and of a file server may differ.
const skew = 2 * time.Minute

func servers(e vos.Entry) []netip.Addr {
	var out []netip.Addr
	for _, s := range e.Sites {
		if !slices.Contains(out, s.Server) {
			out = append(out, s.Server)
		}
	}
	return out
}

// transactions lists those of the volume at a server.
func (b *Backend) transactions(ctx context.Context, server netip.Addr, e vos.Entry) ([]vos.Transaction, error) {
	out, err := b.Cell.ask(ctx, "status", "-server", server.String())
	if err != nil {
		return nil, err
	}
	all, err := vos.ParseStatus(out)
	return slices.DeleteFunc(all, func(t vos.Transaction) bool {
		return t.Volume != e.RW && t.Volume != e.RO && (e.Clone == 0 || t.Volume != e.Clone)
	}), err
}

// stillness is for how long nothing may happen.
var stillness = 10 * time.Second

// motionless makes sure, from another host, that no transaction of the volume
// moves, begins or ends. A vos that is between two sites has none, but the lock.
func (b *Backend) motionless(ctx context.Context, v *view) error {
	type key struct {
		server netip.Addr // each counts for itself
		id     uint32
	}
	look := func() map[key]vos.Transaction {
		out := map[key]vos.Transaction{}
		for _, s := range servers(v.entry) {
			if !v.silent(s) {
				all, _ := b.transactions(ctx, s, v.entry)
				for _, t := range all {
					out[key{s, t.ID}] = t
				}
			}
		}
		return out
	}
	first := look()
	if len(first) == 0 && !v.entry.Locked {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(stillness):
	}
	if !maps.Equal(first, look()) {
		return &fault.Error{Kind: fault.Unavailable, Op: "afs: publish", Subject: b.Volume,
			Err: errors.New("a transaction of a release that began elsewhere still moves"), Advice: "wait for its end"}
	}
	return nil
}

// awaitDeath waits until no process of this host carries the run's ID. A
// worker that died leaves its vos behind, which brings the release to its end;
// what has not ended at the deadline hangs, and nobody else would end it.
func (b *Backend) awaitDeath(ctx context.Context, j *attempt) error {
	for {
		pids := alive(j.ID)
		if len(pids) == 0 {
			return nil
		}
		if b.Now().After(j.Deadline) {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
}

// alive lists the processes of this host that carry the run's ID.
func alive(id string) (pids []int) {
	if id == "" {
		return nil
	}
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range all {
		data, err := os.ReadFile(name)
		if err != nil || !slices.Contains(strings.Split(string(data), "\x00"), idKey+"="+id) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// bootID tells one start of this host from the next.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
