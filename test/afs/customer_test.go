package afs_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// customer reads an index and then opens every package that it names, again and
// again, in a region: what no customer may ever meet is a package that is not
// there, or no index any more. A server that is off gives other errors, which are
// no broken promise: it is blind then.
// It reads no more than a beginning: dozens of them must not busy the machine.
const customer = `cd /; seen=; while :; do
 idx=$(cat "$0/dists/Index" 2>&1) || {
  # Where the client is being started anew, nothing at all is there.
  if [ "$seen" ] && [ -d "$0/dists" ] && ! again=$(cat "$0/dists/Index" 2>&1) && case $again in *"No such file"*) ;; *) false ;; esac
  then echo "missing dists/Index"; else echo "blind $idx"; fi
  sleep 0.05; continue
 }
 sleep 0.02
 for p in $idx; do
  err=$(head -c 4096 "$0/pool/$p" 2>&1 >/dev/null) || case $err in *"No such file"*) [ -d "$0/pool" ] && echo "missing $p" ;; esac
 done
 seen=whole
 echo whole
 sleep 0.1
done`

// watcher is the customer of one region: how often it saw a whole generation,
// what it missed, and why it sees nothing now.
type watcher struct {
	web string

	mu      sync.Mutex
	whole   int
	missing []string
	blind   string
	ended   error
}

// watch lets the customer run; what it says ends when it is killed.
func (w *watcher) watch(cmd *exec.Cmd, out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		w.mu.Lock()
		switch said := lines.Text(); {
		case said == "whole":
			w.whole, w.blind = w.whole+1, ""
		case strings.HasPrefix(said, "missing "):
			w.missing = append(w.missing, said)
		default:
			w.blind = said
		}
		w.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out)
	err := cmd.Wait()
	w.mu.Lock()
	w.ended = err
	w.mu.Unlock()
}

// sees tells whether the customer saw a whole generation, and else why not.
func (w *watcher) sees() (bool, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return w.whole > 0, "it ended: " + w.ended.Error()
	}
	return w.whole > 0, w.blind
}

// customers starts one in every region; the function returned ends them and
// fails the test if one missed a package, or saw nothing although it could have.
// They come after the first release: a client that reads the database while
// sites are added keeps to what it read for ten minutes, and this lab's clients
// reach one site only.
func (r *rig) customers(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*watcher
	for _, web := range webs {
		cmd := r.cell.Command(ctx, web, "bash", "-c", customer, r.volume.RO)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		w := &watcher{web: web}
		all = append(all, w)
		wg.Go(func() { w.watch(cmd, out) })
	}
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return func() {
		t.Helper()
		saw := 0
		for _, w := range all {
			if r.saw(t, w) {
				saw++
			}
		}
		stop()
		if saw == 0 {
			t.Error("no customer saw a whole generation")
		}
		for _, w := range all {
			if len(w.missing) > 0 {
				t.Errorf("package not found in %s: %d times, first %s", w.web, len(w.missing), w.missing[0])
			}
		}
	}
}

// saw waits until a customer has seen a whole generation. One whose client has
// given its only site up for ten minutes, which only this lab's can, is excused
// if the region's file server does serve: see servedAt.
func (r *rig) saw(t *testing.T, w *watcher) bool {
	t.Helper()
	last, whole := "", false
	defer func() {
		if t.Failed() {
			t.Logf("the customer in %s said last: %q", w.web, last)
		}
	}()
	until(t, "the customer in "+w.web+" sees a whole generation", func() bool {
		var why string
		if whole, why = w.sees(); whole {
			return true
		}
		last = why
		if strings.Contains(why, "timed out") {
			_, err := r.ask(t, w.web, "dists/Index")
			return err == nil
		}
		r.cell.Revive(t, w.web, errors.New(why))
		return false
	})
	if !whole {
		t.Logf("the client of %s has given its site up: %s", w.web, last)
	}
	return whole
}
