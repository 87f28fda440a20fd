package wheels_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheels"
)

func noPages(string) (*simpleindex.Project, error) { return nil, nil }

// TestAttemptsNameTheirInboxOnly delivers under names that lead out of the
// inbox: nothing is read there, nothing is removed, and the build failed.
func TestAttemptsNameTheirInboxOnly(t *testing.T) {
	file, good, _ := wheelOf("a", "1", "py3-none-any")
	for _, attempt := range []string{"..", ".", "", "a/b", "../d12", "../../logs", "-x", "a b", "a\x1b[31m", strings.Repeat("a", 300), "linked"} {
		t.Run(attempt, func(t *testing.T) {
			b := newBench(t)
			b.add("a", "a-1.tar.gz")
			b.publish()
			b.wanted["d12"] = pins("a===1")
			job := wheels.Jobs(b.survey("d12", true))[0]
			b.deliver("d12", job, broken)
			inbox := filepath.Dir(b.store.Inbox("d12", "x"))
			outside := t.TempDir()
			if err := os.Symlink(outside, filepath.Join(inbox, "linked")); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{inbox, filepath.Dir(inbox), outside} {
				write(t, filepath.Join(dir, file), good)
				write(t, filepath.Join(dir, "secret"), "a secret of the sync worker")
			}
			d := wheels.Delivery{Attempt: attempt, File: file, SHA256: sum(good), Log: "secret"}
			r, err := b.store.Ingest("d12", b.platforms(), noPages, job, d)
			if err != nil || r.State != wheels.Failed || r.Log != "" || strings.ContainsRune(r.Message, '\x1b') {
				t.Errorf("%+v %v, want a failure without a log", r, err)
			}
			for _, dir := range []string{inbox, filepath.Dir(inbox), outside} {
				if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
					t.Error(err)
				}
			}
			for _, kind := range []string{"built", "logs"} {
				if left, _ := os.ReadDir(filepath.Join(b.Dir, "state", kind)); len(left) > 0 {
					t.Errorf("kept in %s: %v", kind, left)
				}
			}
		})
	}
}

// TestDeliveriesSteerNoTerminal: a log, a message and a class are foreign text.
func TestDeliveriesSteerNoTerminal(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	job := wheels.Jobs(b.survey("d12", true))[0]
	d := b.deliver("d12", job, broken)
	d.Class, d.Message = "\x1b[2J", "a\x1b]0;title\x07 b\u202e\nc"
	write(t, filepath.Join(b.store.Inbox("d12", d.Attempt), d.Log), "one\x1b[31m\r\ntwo\x9b\n")
	r, err := b.store.Ingest("d12", b.platforms(), noPages, job, d)
	if err != nil || r.Class != "unknown" || r.Message != "a b c" {
		t.Errorf("%+v %v", r, err)
	}
	if log, err := os.ReadFile(filepath.Join(b.Dir, "state/logs", r.Log)); err != nil || string(log) != "one\ntwo\ufffd\n" {
		t.Errorf("log %q %v", log, err)
	}
}
