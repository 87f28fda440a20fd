package afs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// attempt is one run of vos, written down before it begins: the database's
// lock names no owner, so nobody could tell later which is ours.
type attempt struct {
	ID         string    `json:"id"` // in the environment of the run's processes
	Volume     string    `json:"volume"`
	Generation int64     `json:"generation"`
	Clone      bool      `json:"clone"` // -force-reclone
	Host       string    `json:"host"`
	Boot       string    `json:"boot"`
	Holder     string    `json:"holder"`
	Started    time.Time `json:"started"`
	Deadline   time.Time `json:"deadline"`
	Ended      time.Time `json:"ended,omitzero"`
	End        string    `json:"end,omitempty"`

	n int64
}

const (
	runPrefix = "run."
	idKey     = "MIRRORCYCLE_RELEASE"
	keepRuns  = 20
	// slowest is the transfer that a release is given time for, before anybody
	// on another host may take it for dead.
	slowest = 2 << 10 // KB a second
	minTime = 30 * time.Minute
	// cloning is the time for which commits stay out of the way of a clone that
	// nobody reports as made.
	cloning = 10 * time.Minute
)

// lastRun returns the newest run, nil if there was none.
func (b *Backend) lastRun() (*attempt, error) {
	all, err := tree.Numbered(b.path(), runPrefix)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	n := slices.Max(all)
	data, err := os.ReadFile(b.runPath(n))
	if err != nil {
		return nil, fmt.Errorf("afs: read journal: %w", err)
	}
	j := &attempt{}
	if err := json.Unmarshal(data, j); err != nil {
		// Cut off while it was written, so nothing was started.
		return &attempt{n: n, Ended: b.Now(), End: "never started"}, nil
	}
	j.n = n
	return j, nil
}

func (b *Backend) runPath(n int64) string { return b.path(runPrefix + strconv.FormatInt(n, 10)) }
func (b *Backend) logPath(n int64) string { return b.path("log." + strconv.FormatInt(n, 10)) }

// begin writes the journal of a run that is about to start.
func (b *Backend) begin(ctx context.Context, v *view, want *tree.Generation, clone bool) (*attempt, error) {
	last, err := b.lastRun()
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	now := b.Now().UTC()
	j := &attempt{ID: rand.Text(), Volume: b.Volume, Generation: want.Number, Clone: clone, Host: host, Boot: bootID(),
		Holder: b.Holder, Started: now, Deadline: now.Add(b.allowed(ctx, len(v.sites))), n: 1}
	if last != nil {
		j.n = last.n + 1
	}
	data, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.path(), 0o755); err != nil {
		return nil, fmt.Errorf("afs: write journal: %w", err)
	}
	f, err := os.OpenFile(b.runPath(j.n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "afs: write journal", Subject: b.runPath(j.n), Err: err, Advice: "another run was faster; it goes on"}
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("afs: write journal: %w", err)
	}
	for n := j.n - keepRuns; n > 0 && remove(b.runPath(n)) == nil; n-- {
		if _, err := os.Lstat(b.logPath(n)); err != nil {
			break
		}
		remove(b.logPath(n))
	}
	return j, nil
}

// allowed is how long a release may take: long enough for a slow line to carry
// the whole volume to every site.
func (b *Backend) allowed(ctx context.Context, sites int) time.Duration {
	v, err := b.examine(ctx)
	if err != nil {
		return 12 * time.Hour
	}
	return max(minTime, time.Duration(sites)*time.Duration(v.Used/slowest)*time.Second)
}

func (b *Backend) end(j *attempt, how string) error {
	j.Ended, j.End = b.Now().UTC(), how
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	temp := b.runPath(j.n) + ".new"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return fmt.Errorf("afs: write journal: %w", err)
	}
	return os.Rename(temp, b.runPath(j.n))
}

// release runs vos release once. The failure is what vos said, for the sites
// that it did not reach; the error means that nothing can be said.
func (b *Backend) release(ctx context.Context, v *view, want *tree.Generation, clone bool) (failure, err error) {
	if err := v.releasable(want.Number); err != nil {
		return nil, err
	}
	thaw := func() {}
	if !b.part { // objects may land in the midst of a clone: no index that is out names them
		if thaw, err = tree.Freeze(b.State, b.Now().Add(cloning)); err != nil {
			return nil, err
		}
	}
	defer thaw()
	// Once more, now that no commit can change it any more.
	if v, err = b.look(ctx, v); err == nil {
		err = v.releasable(want.Number)
	}
	if err != nil {
		return nil, err
	}
	if err := b.intend(v, want.Number); err != nil {
		return nil, err
	}
	j, err := b.begin(ctx, v, want, clone)
	if err != nil {
		return nil, err
	}
	b.Crash("release/journal")
	args := []string{"release", b.Volume, "-verbose"}
	if clone {
		args = append(args, "-force-reclone")
	}
	vosRun, err := b.start(j, b.Cell.command(args...))
	if err != nil {
		return nil, errors.Join(err, b.end(j, "not started"))
	}
	b.Crash("release/started")
	exit, err := b.wait(ctx, j, vosRun, thaw)
	if err != nil {
		return nil, err
	}
	b.Crash("release/ended")
	text, err := os.ReadFile(b.logPath(j.n))
	if err != nil {
		return nil, fmt.Errorf("afs: read what vos printed: %w", err)
	}
	if exit == 0 {
		return nil, b.end(j, "exit 0")
	}
	failure = vos.Classify(exit, nil, text)
	if errors.Is(failure, fault.Conflict) {
		return failure, b.end(j, "locked by somebody else")
	}
	// It may have left a lock: the journal stays open until that was looked at.
	return failure, nil
}

// start runs vos as a session of its own: neither a signal to the worker nor
// its death may stop it, because a vos that is stopped leaves locks and
// transactions behind in the cell.
func (b *Backend) start(j *attempt, list []string) (*running, error) {
	log, err := os.OpenFile(b.logPath(j.n), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("afs: run vos: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(list[0], list[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), idKey+"="+j.ID)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "afs: run", Subject: list[0], Err: err, Advice: "install openafs-client and kstart"}
	}
	r := &running{group: cmd.Process.Pid, done: make(chan int, 1)}
	go func() {
		_ = cmd.Wait()
		r.done <- cmd.ProcessState.ExitCode()
	}()
	return r, nil
}

// running is a vos of this process.
type running struct {
	group int      // its process group
	done  chan int // gets the exit code
}

const lookEvery = 100 * time.Millisecond

// cloned matches what vos -verbose prints once the clone is made: from then on
// the read-write volume may change.
var cloned = regexp.MustCompile(`(?i)\bclon[a-z]+ .*\.\.\. ?done`)

// wait waits for vos to end, thaws the tree when the clone is made, and leaves
// vos running when ctx ends. One that has not ended at its deadline hangs: it is
// killed, and what it leaves is cleared up by the next attempt.
func (b *Backend) wait(ctx context.Context, j *attempt, r *running, thaw func()) (exit int, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	deadline := time.NewTimer(j.Deadline.Sub(j.Started))
	defer deadline.Stop()
	for frozen := true; ; {
		select {
		case exit := <-r.done:
			return exit, nil
		case <-deadline.C:
			_ = syscall.Kill(-r.group, syscall.SIGKILL)
			return 0, &fault.Error{Kind: fault.Unavailable, Op: "afs: release", Subject: b.Volume,
				Err:    fmt.Errorf("vos has not ended within %s", j.Deadline.Sub(j.Started)),
				Advice: "see what it printed in " + b.logPath(j.n)}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
			if text, err := os.ReadFile(b.logPath(j.n)); frozen && err == nil && cloned.Match(text) {
				thaw()
				frozen = false
			}
		}
	}
}

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
		if err := awaitDeath(ctx, j.ID); err != nil {
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
	if err := b.clearUp(ctx, j, v); err != nil {
		return err
	}
	// Its clone was made or never will be: commits need not wait any longer.
	if err := tree.Thaw(b.State); err != nil {
		return err
	}
	b.Crash("release/recovered")
	return b.end(j, "cleared up by "+b.Holder)
}

// clearUp removes what the dead run j left in the cell: transactions on the
// volume that began after it did, and the lock.
func (b *Backend) clearUp(ctx context.Context, j *attempt, v *view) error {
	e, err := b.entry(ctx)
	if err != nil {
		return err
	}
	for _, server := range servers(e) {
		if v.silent(server) {
			continue // it has no transaction, or forgets it within ten minutes
		}
		all, err := b.transactions(ctx, server, e)
		if errors.Is(err, fault.Unavailable) {
			continue
		}
		if err != nil {
			return err
		}
		for _, t := range all {
			switch {
			case strings.Contains(t.Procedure, "Dump"): // a backup, never part of a release
			case !t.Created.Before(j.Started.Add(-skew)):
				// An error means that it has ended by itself meanwhile, or the release will say so.
				_ = b.Cell.change(ctx, "endtrans", "-server", server.String(), "-transaction", strconv.FormatUint(uint64(t.ID), 10))
			case e.Locked:
				return &fault.Error{Kind: fault.Conflict, Op: "afs: clear up", Subject: b.Volume,
					Err:    fmt.Errorf("transaction %d at %s is older than our run that died", t.ID, server),
					Advice: "somebody else works on the volume: wait for the end, or vos endtrans"}
			}
		}
	}
	if !e.Locked {
		return nil
	}
	if err := b.Cell.change(ctx, "unlock", b.Volume); err != nil {
		return fmt.Errorf("afs: unlock volume %s after a run that died: %w", b.Volume, err)
	}
	return nil
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

const stillness = 10 * time.Second

// motionless makes sure, from another host, that no transaction of the volume moves.
func (b *Backend) motionless(ctx context.Context, v *view) error {
	look := func() (out []vos.Transaction) {
		for _, s := range servers(v.entry) {
			if !v.silent(s) {
				all, _ := b.transactions(ctx, s, v.entry)
				out = append(out, all...)
			}
		}
		return out
	}
	first := look()
	if len(first) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(stillness):
	}
	for _, now := range look() {
		for _, then := range first {
			if now.ID == then.ID && now != then {
				return &fault.Error{Kind: fault.Unavailable, Op: "afs: publish", Subject: b.Volume,
					Err: fmt.Errorf("transaction %d of a release that began elsewhere still moves", now.ID), Advice: "wait for its end"}
			}
		}
	}
	return nil
}

// awaitDeath waits until no process of this host carries the run's ID. A
// worker that died leaves its vos behind, which brings the release to its end.
func awaitDeath(ctx context.Context, id string) error {
	for alive(id) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
	return nil
}

func alive(id string) bool {
	if id == "" {
		return false
	}
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	return slices.ContainsFunc(all, func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && slices.Contains(strings.Split(string(data), "\x00"), idKey+"="+id)
	})
}

// bootID tells one start of this host from the next.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
