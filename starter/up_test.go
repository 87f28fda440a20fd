package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func TestCyclesAreJoinedOnlyByTheSame(t *testing.T) {
	spec := mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "demo"}}
	seen := map[string]string{}
	for name, in := range map[string]workflows.CycleInput{
		"whole":         {Spec: spec},
		"dry run":       {Spec: spec, DryRun: true},
		"one":           {Spec: spec, Only: []string{"a"}},
		"another":       {Spec: spec, Only: []string{"b"}},
		"two":           {Spec: spec, Only: []string{"a", "b"}},
		"dry run of it": {Spec: spec, Only: []string{"a"}, DryRun: true},
	} {
		id := cycleID(in)
		if seen[id] != "" {
			t.Errorf("%s and %s are both %s", name, seen[id], id)
		}
		seen[id] = name
	}
	in := workflows.CycleInput{Spec: spec, Only: []string{"b", "a", "b"}}
	if got := cycleID(in); seen[got] != "two" {
		t.Errorf("the order of --only makes another cycle: %s", got)
	}
}

// TestUpAllowsInternalHosts: a URL of upstream's that leads inside is followed
// where --internal-hosts names its host, and only there.
func TestUpAllowsInternalHosts(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") }))
	defer inside.Close()
	host := strings.TrimPrefix(inside.URL, "http://")
	for _, tc := range []struct {
		args []string
		kind error
	}{
		{nil, fault.Denied},
		{[]string{"--internal-hosts", "192.0.2.7"}, fault.Denied},
		{[]string{"--internal-hosts", "192.0.2.7," + host}, nil},
	} {
		var o upOptions
		f := pflag.NewFlagSet("up", pflag.ContinueOnError)
		if o.flags(f); f.Parse(tc.args) != nil {
			t.Fatal(tc.args)
		}
		client, err := fetch.New(fetch.Options{Attempts: 1, Internal: o.permit(&mirrorspec.Spec{}).Internal})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, _, err = client.GetBytes(t.Context(), fetch.Request{Path: inside.URL}); !errors.Is(err, tc.kind) {
			t.Errorf("%q: %v, want %v", tc.args, err, tc.kind)
		}
	}
}

func TestHowUpEnds(t *testing.T) {
	dead := errors.New("the server has ended")
	for name, tc := range map[string]struct {
		interrupt, once bool
		want            error
	}{
		"interrupted":                    {interrupt: true},
		"interrupted before its one end": {interrupt: true, once: true, want: context.Canceled},
		"without a server":               {want: dead},
	} {
		t.Run(name, func(t *testing.T) {
			outer, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			ctx, cancel := context.WithCancelCause(outer)
			if tc.interrupt {
				interrupt()
			}
			cancel(dead)
			err := ending(ctx, outer.Done(), upState{options: upOptions{once: tc.once}, out: io.Discard})
			if !errors.Is(err, tc.want) {
				t.Errorf("it ends with %v, want %v", err, tc.want)
			}
		})
	}
}

func TestUpWithCronPauses(t *testing.T) {
	if every(&mirrorspec.Spec{}) <= 0 {
		t.Error("cycles follow each other without a pause")
	}
}
