// Package service runs a worker: it registers workflows and activities for the roles it is given.
//
// A role names what the host can reach: sync:<storage> sees the trees,
// release:<region> a region's own disk, wheels:<platform> the root to build
// wheels in, cycle only runs workflows. The roles
// decide which task queues are served, so a host is never asked for a disk
// that it does not have.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/serve"
	"mirrorcycle/workflows"
)

// Role is one thing that a worker can do.
type Role struct {
	Kind string // "cycle", "sync", "release" or "wheels"
	Name string // of the storage, region or platform; empty for cycle
}

// ParseRoles reads a comma-separated list such as "cycle,sync:main,release:dfw".
func ParseRoles(s string) ([]Role, error) {
	var out []Role
	for part := range strings.SplitSeq(s, ",") {
		kind, name, _ := strings.Cut(strings.TrimSpace(part), ":")
		if !(kind == "cycle" && name == "") && !(slices.Contains([]string{"sync", "release", "wheels"}, kind) && name != "") {
			return nil, &fault.Error{Kind: fault.Config, Op: "worker: read roles", Subject: part, Err: fmt.Errorf("no such role"),
				Advice: "write cycle, sync:<storage>, release:<region> or wheels:<platform>, separated by commas"}
		}
		if r := (Role{kind, name}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out, nil
}

// Options configure a service.
type Options struct {
	Client client.Client
	Roles  []Role
	Logger *slog.Logger
	// Builder builds wheels; nil is the sandboxes of this host.
	Builder activities.Builder
	// Crash is called at every write boundary of trees and regions; tests end the process there.
	Crash func(point string)
	// Permit is what messages may ask of this worker; the zero value is nothing.
	Permit activities.Permit
	// Renew is asked for what is allowed now when a message asks for more; nil is nobody.
	Renew func() activities.Permit
}

// panics says what becomes of a run that this version cannot replay, or that
// panics: it fails, and the next cycle begins anew from what is on disk, which is
// all that a run has to know. One that waited for a person would be busy for ever.
const panics = worker.FailWorkflow

// stopTime is how long running activities have to note where they are.
const stopTime = 10 * time.Second

// Service is a set of running workers.
type Service struct{ workers []worker.Worker }

// Start starts a worker per task queue.
func Start(o Options) (*Service, error) {
	s := new(Service)
	// One instance serves all queues, so that download limits hold for the process.
	syncs, regions := &activities.Sync{Crash: o.Crash, Internal: o.Permit.Internal}, &activities.Regions{Crash: o.Crash}
	if o.Builder == nil {
		o.Builder = new(activities.Sandboxed)
	}
	wheels := &activities.Wheels{Builder: o.Builder, Index: func(root, mirror string) (http.Handler, error) {
		return serve.New(serve.Options{Dir: root, Only: mirror})
	}}
	for _, r := range o.Roles {
		for queue, slots := range queues(r) {
			w := worker.New(o.Client, queue, options(slots, o))
			switch r.Kind {
			case "cycle":
				for name, f := range workflows.All() {
					w.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
				}
			case "sync":
				w.RegisterActivity(syncs)
				w.RegisterActivity(regions)
			case "release":
				w.RegisterActivity(regions)
			case "wheels":
				w.RegisterActivity(wheels)
			}
			if err := w.Start(); err != nil {
				s.Stop()
				return nil, fmt.Errorf("worker: start on queue %s: %w", queue, err)
			}
			s.workers = append(s.workers, w)
		}
	}
	return s, nil
}

// Stop ends all workers together, so that their time to note where they are does not add up.
func (s *Service) Stop() {
	var wg sync.WaitGroup
	for _, w := range s.workers {
		wg.Go(w.Stop)
	}
	wg.Wait()
}

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	s, err := Start(o)
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Stop()
	return nil
}

// queues lists a role's task queues with the number of activities at once.
// Downloads have slots of their own: a first sync leaves the other steps free.
func queues(r Role) map[string]int {
	switch r.Kind {
	case "sync":
		return map[string]int{workflows.SyncQueue(r.Name): 64, workflows.FetchQueue(r.Name): 64}
	case "release":
		return map[string]int{workflows.ReleaseQueue(r.Name): 64}
	case "wheels":
		return map[string]int{workflows.WheelsQueue(r.Name): max(runtime.NumCPU(), 2)}
	}
	return map[string]int{workflows.Queue: 1}
}

func options(slots int, o Options) worker.Options {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return worker.Options{Interceptors: []interceptor.WorkerInterceptor{&logging{log: log}, &permitting{permit: o.Permit, renew: o.Renew}}, WorkerStopTimeout: stopTime, MaxHeartbeatThrottleInterval: time.Second, DefaultHeartbeatThrottleInterval: time.Second,
		WorkflowPanicPolicy: panics, DisableRegistrationAliasing: true, MaxConcurrentActivityExecutionSize: slots}
}

// Logger adapts slog to what Temporal's SDK wants.
func Logger(l *slog.Logger) tlog.Logger { return tlog.NewStructuredLogger(l) }
