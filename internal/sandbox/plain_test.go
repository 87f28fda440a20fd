package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
)

// shell runs a script without a sandbox, which needs no rights: what it tells is
// how commands are followed and limited. test/wheelbuild has the rest.
func shell(t *testing.T, ctx context.Context, script string, limits sandbox.Limits) (sandbox.Outcome, string, error) {
	t.Helper()
	s, err := sandbox.Open(sandbox.Config{Mode: sandbox.None})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, []byte("put there"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	index := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "index", r.URL.Path) })
	var output bytes.Buffer
	out, err := s.Run(ctx, sandbox.Command{Args: []string{"sh", "-c", script}, Files: []sandbox.File{{Name: "in/file", Content: f}}, Index: index, Output: &output,
		Limits: limits, Env: func(index, tmp string) []string { return []string{"INDEX=" + index} }})
	return out, output.String(), err
}

func TestCommandsAreFollowed(t *testing.T) {
	t.Setenv("MIRRORCYCLE_SECRET", "leaked")
	tests := map[string]struct {
		script string
		limits sandbox.Limits
		want   sandbox.Outcome // without times, memory and log
		log    string
		output string
	}{
		"exit status":           {"echo out; echo err >&2; exit 3", sandbox.Limits{}, sandbox.Outcome{Exit: 3}, "out\nerr\n", ""},
		"signal":                {"kill -9 $$", sandbox.Limits{}, sandbox.Outcome{Exit: 137}, "", ""},
		"output":                {"echo result >&3", sandbox.Limits{}, sandbox.Outcome{}, "", "result\n"},
		"file":                  {"cat in/file", sandbox.Limits{}, sandbox.Outcome{}, "put there", ""},
		"clean environment":     {`echo "$MIRRORCYCLE_SECRET$LANG"`, sandbox.Limits{}, sandbox.Outcome{}, "C.UTF-8\n", ""},
		"home of its own":       {`case $HOME in $PWD/*) echo own;; esac`, sandbox.Limits{}, sandbox.Outcome{}, "own\n", ""},
		"log limit":             {"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", sandbox.Limits{Log: 10000}, sandbox.Outcome{Exit: 137, LogLimit: true}, "", ""},
		"output limit":          {"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy >&3; done", sandbox.Limits{Output: 10}, sandbox.Outcome{Exit: 137, OutLimit: true}, "", "yyyyyyyyyyy"},
		"timeout":               {"sleep 1000 & sleep 1000", sandbox.Limits{Timeout: 200 * time.Millisecond}, sandbox.Outcome{Exit: 137, TimedOut: true}, "", ""},
		"orphans end with it":   {"sleep 1000 & exit 0", sandbox.Limits{}, sandbox.Outcome{}, "", ""},
		"closed output is fine": {"exec 3>&-; exec >&- 2>&-; exit 4", sandbox.Limits{}, sandbox.Outcome{Exit: 4}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, output, err := shell(t, t.Context(), tt.script, tt.limits)
			if err != nil {
				t.Fatal(err)
			}
			log := string(out.Log.Bytes())
			if out.Exit != tt.want.Exit || out.TimedOut != tt.want.TimedOut || out.LogLimit != tt.want.LogLimit || out.OutLimit != tt.want.OutLimit {
				t.Errorf("%+v", out)
			}
			if output != tt.output || !tt.want.LogLimit && log != tt.log {
				t.Errorf("output %q, log %q", output, log)
			}
		})
	}
}

func TestCancelEndsTheCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := shell(t, ctx, "sleep 1000", sandbox.Limits{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestIndexAnswers(t *testing.T) {
	s, err := sandbox.Open(sandbox.Config{Mode: sandbox.None})
	if err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	index := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "index", r.URL.Path) })
	end, ended := context.WithCancel(t.Context())
	go func() {
		defer ended()
		resp, err := http.Get(<-url + "/simple/")
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "index/simple/" || err != nil {
			t.Errorf("%s, %v", body, err)
		}
	}()
	_, err = s.Run(end, sandbox.Command{Args: []string{"sleep", "1000"}, Index: index, Env: func(index, _ string) []string { url <- index; return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLogKeepsHeadAndTail(t *testing.T) {
	out, _, err := shell(t, t.Context(), "echo first; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf '%01000d\\n' $i; done; echo last", sandbox.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	log := string(out.Log.Bytes())
	if !strings.HasPrefix(log, "first\n") || !strings.HasSuffix(log, "03000\nlast\n") || out.Log.Dropped != 3003011-2*512<<10 || len(log) > 1<<20+100 {
		t.Errorf("%d bytes, %d dropped: %.20q … %q", len(log), out.Log.Dropped, log, log[len(log)-20:])
	}
	if head, tail := string(out.Log.Head), string(out.Log.Tail); !strings.Contains(log, head+"\n[") || !strings.HasSuffix(log, tail) {
		t.Error("head and tail are not in the log")
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	if _, err := sandbox.Open(sandbox.Config{Mode: "jail"}); !errors.Is(err, fault.Config) {
		t.Error(err)
	}
	if _, err := sandbox.Open(sandbox.Config{FirstUID: 1<<31 - 10, UIDs: 11}); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "2147483648") {
		t.Error(err)
	}
	s, err := sandbox.Open(sandbox.Config{Mode: sandbox.None})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Run(t.Context(), sandbox.Command{Args: []string{"no-such-program-anywhere"}})
	if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "no-such-program-anywhere") {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		if _, err := sandbox.Open(sandbox.Config{}); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), `sandbox = "none"`) {
			t.Error(err)
		}
	}
}
