package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/service"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// patience is how long a command waits before it says what for.
const patience = 3 * time.Second

// role is what a worker has to be started with so that a task queue is served.
type role struct {
	Role  string `json:"role"`
	Queue string `json:"queue"`
	kind  enumspb.TaskQueueType
}

// askRoles are the roles that a question to a storage needs.
func askRoles(spec *mirrorspec.Spec) []role {
	return []role{{"cycle", workflows.Queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW},
		{"sync:" + spec.Storage.Name, workflows.SyncQueue(spec.Storage.Name), enumspb.TASK_QUEUE_TYPE_ACTIVITY}}
}

// needed are the roles that a spec needs, each once.
func needed(spec *mirrorspec.Spec) []role {
	out := askRoles(spec)
	add := func(name, queue string) {
		if r := (role{name, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	for _, r := range spec.Regions {
		switch {
		case r.Pull:
			add("release:"+r.Name, workflows.ReleaseQueue(r.Name))
		case r.AFS != nil && spec.AFS != nil:
			add("release:"+spec.AFS.Cell, workflows.ReleaseQueue(spec.AFS.Cell))
		}
	}
	for _, m := range spec.Mirrors {
		for _, p := range m.Platforms {
			add("wheels:"+p.Name, workflows.WheelsQueue(p.Name))
		}
	}
	return out
}

// gone is how long ago a worker's last poll was if it runs no more: a poll lasts
// a minute, and Temporal lists pollers for five.
const gone = 2 * time.Minute

// unserved returns the roles whose task queue no worker polls. What the server
// does not say counts as served.
func unserved(ctx context.Context, t client.Client, roles []role) (missing []role) {
	for _, r := range roles {
		d, err := t.DescribeTaskQueue(ctx, r.Queue, r.kind)
		if err != nil {
			continue
		}
		polled := false
		for _, p := range d.Pollers {
			polled = polled || time.Since(p.GetLastAccessTime().AsTime()) < gone
		}
		if !polled {
			missing = append(missing, r)
		}
	}
	return missing
}

// temporalName names the server that commands talk to.
func temporalName() string {
	o, err := service.ClientOptions()
	if err != nil {
		return "Temporal"
	}
	return fmt.Sprintf("Temporal at %s, namespace %s", o.HostPort, namespace())
}

// advise says which workers to start, where, in one line each.
func advise(missing []role) string {
	var b strings.Builder
	for _, r := range missing {
		fmt.Fprintf(&b, "no worker serves role %s (task queue %s of %s); start one: worker --roles %s\n", r.Role, r.Queue, temporalName(), r.Role)
	}
	return b.String()
}

// sayWaiting tells w what a command waits for, unless stop is called within patience.
func sayWaiting(ctx context.Context, w io.Writer, t client.Client, roles []role) (stop func()) {
	return say(ctx, w, t, roles, fmt.Sprintf("waiting for an answer of the workers at %s; they serve what is asked: they may be busy\n", temporalName()))
}

// sayMissing tells w which workers a command lacks that shows by itself how far it is.
func sayMissing(ctx context.Context, w io.Writer, t client.Client, roles []role) (stop func()) {
	return say(ctx, w, t, roles, "")
}

func say(ctx context.Context, w io.Writer, t client.Client, roles []role, served string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
		text := advise(unserved(ctx, t, roles))
		if ctx.Err() != nil {
			return
		}
		if text == "" {
			text = served
		}
		fmt.Fprint(w, text)
	}()
	return func() { cancel(); <-done }
}

// sayConnecting tells standard error which server does not answer, unless stop is called within patience.
func sayConnecting(address string) (stop func() bool) {
	return time.AfterFunc(patience, func() { fmt.Fprintf(os.Stderr, "waiting for Temporal at %s\n", address) }).Stop
}

// abandon ends a question that nobody waits for any more, so that a worker that
// starts later does not carry it out.
func abandon(t client.Client, run client.WorkflowRun) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.TerminateWorkflow(ctx, run.GetID(), run.GetRunID(), "the command that asked was interrupted"); err != nil {
		fmt.Fprintf(os.Stderr, "starter: %s may still be carried out: %v\n", run.GetID(), err)
	}
}
