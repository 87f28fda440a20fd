package afs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"mirrorcycle/internal/durable"
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
	Exited     time.Time `json:"exited,omitzero"` // vos ended by itself, perhaps leaving something behind
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
	return b.run(slices.Max(all))
}

// journal returns the runs that are still written down, in no order.
func (b *Backend) journal() ([]*attempt, error) {
	all, err := tree.Numbered(b.path(), runPrefix)
	var out []*attempt
	for _, n := range all {
		j, err := b.run(n)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was the oldest
		}
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, err
}

func (b *Backend) run(n int64) (*attempt, error) {
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
	if err == nil && last != nil && last.Ended.IsZero() {
		err = b.faster(last.n) // since this attempt looked: a run that nobody ended would never be looked at again
	}
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
	if err := durable.Create(b.runPath(j.n), data); errors.Is(err, fs.ErrExist) {
		return nil, errors.Join(b.faster(j.n), err)
	} else if err != nil {
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

// faster says that another attempt of this very release is under way.
func (b *Backend) faster(n int64) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "afs: write journal", Subject: b.runPath(n), Err: errors.New("another attempt is under way"),
		Advice: "nothing to do: it goes on"}
}

// open makes sure that run j is still the newest, and that nobody ended it: an
// attempt that stood still for a while must not touch what another one began.
func (b *Backend) open(j *attempt) error {
	last, err := b.lastRun()
	if err == nil && (last == nil || last.n != j.n || !last.Ended.IsZero()) {
		err = b.faster(j.n)
	}
	return err
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
	return b.rewrite(j)
}

func (b *Backend) rewrite(j *attempt) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return durable.ReplaceBy(b.runPath(j.n)+".new", b.runPath(j.n), data)
}

// release runs vos release once. The failure is what vos said, for the sites
// that it did not reach; the error means that nothing can be said.
func (b *Backend) release(ctx context.Context, v *view, want *tree.Generation, clone bool) (failure, err error) {
	if err := v.releasable(want.Number); err != nil {
		return nil, err
	}
	if err := b.leftovers(ctx, v); err != nil {
		return nil, err
	}
	// The journal is the lock among attempts of this release: only whose run it
	// names freezes the tree, so nobody thaws it under somebody else's clone.
	j, err := b.begin(ctx, v, want, clone)
	if err != nil {
		return nil, err
	}
	thaw, err := b.prepare(ctx, v, want)
	if err != nil {
		return nil, errors.Join(err, b.end(j, "not started"))
	}
	b.Crash("release/journal")
	args := []string{"release", b.Volume, "-verbose"}
	if clone {
		args = append(args, "-force-reclone")
	}
	if err := b.open(j); err != nil {
		return nil, err
	}
	vosRun, err := b.start(j, b.Cell.command(args...))
	if err != nil {
		thaw()
		return nil, errors.Join(err, b.end(j, "not started"))
	}
	b.Crash("release/started")
	exit, err := b.wait(ctx, j, vosRun, thaw)
	if err != nil {
		return nil, err // vos may go on and clone: the tree stays frozen until somebody takes over
	}
	thaw()
	b.Crash("release/ended")
	return b.ended(j, exit)
}

// prepare freezes the tree and makes sure that it holds what is to be released.
// Objects may land in the midst of a clone: no index that is out names them.
func (b *Backend) prepare(ctx context.Context, v *view, want *tree.Generation) (thaw func(), err error) {
	thaw = func() {}
	if !b.part {
		if thaw, err = tree.Freeze(b.State, b.Now().Add(cloning)); err != nil {
			return nil, err
		}
	}
	// Once more, now that no commit can change it any more.
	if v, err = b.look(ctx, v); err == nil {
		err = v.releasable(want.Number)
	}
	if err == nil {
		err = b.intend(v, want.Number)
	}
	if err == nil {
		err = b.owe(v, want.Number)
	}
	if err == nil {
		err = b.carry()
	}
	if err != nil {
		thaw()
		return nil, err
	}
	return thaw, nil
}

// ended notes how vos ended by itself.
func (b *Backend) ended(j *attempt, exit *os.ProcessState) (failure, err error) {
	text, err := os.ReadFile(b.logPath(j.n))
	if err != nil {
		return nil, fmt.Errorf("afs: read what vos printed: %w", err)
	}
	if exit.Success() {
		return nil, b.end(j, "exit 0")
	}
	failure = vos.Classify(exit.ExitCode(), nil, text)
	if !exit.Exited() {
		failure = fmt.Errorf("%s: %w", exit, failure)
	}
	if errors.Is(failure, fault.Conflict) {
		return failure, b.end(j, "locked by somebody else")
	}
	// It may have left a lock: the journal stays open until that was looked at.
	j.Exited = b.Now().UTC()
	return failure, b.rewrite(j)
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
	r := &running{group: cmd.Process.Pid, done: make(chan *os.ProcessState, 1)}
	go func() {
		_ = cmd.Wait()
		r.done <- cmd.ProcessState
	}()
	return r, nil
}

// running is a vos of this process.
type running struct {
	group int // its process group
	done  chan *os.ProcessState
}

const lookEvery = 100 * time.Millisecond

// cloned matches what vos -verbose prints once the clone is made: from then on
// the read-write volume may change.
var cloned = regexp.MustCompile(`(?i)\bclon[a-z]+ .*\.\.\. ?done`)

// wait waits for vos to end, thaws the tree when the clone is made, and leaves
// vos running when ctx ends. One that has not ended at its deadline hangs: it is
// killed, and what it leaves is cleared up by the next attempt.
func (b *Backend) wait(ctx context.Context, j *attempt, r *running, thaw func()) (exit *os.ProcessState, err error) {
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
			return nil, &fault.Error{Kind: fault.Unavailable, Op: "afs: release", Subject: b.Volume,
				Err:    fmt.Errorf("vos has not ended within %s", j.Deadline.Sub(j.Started)),
				Advice: "see what it printed in " + b.logPath(j.n)}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
			if text, err := os.ReadFile(b.logPath(j.n)); frozen && err == nil && cloned.Match(text) {
				thaw()
				frozen = false
			}
		}
	}
}
