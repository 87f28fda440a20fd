package scale_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/service"
)

// TestNamespaceDeletedUnderAWorker: the worker ends with an error, for systemd to
// start it again, and does not sit there idle.
func TestNamespaceDeletedUnderAWorker(t *testing.T) {
	t.Parallel() // it waits for minutes: pollers have two to come back
	c, address := lab.Temporal(t)
	const name = "short-lived"
	if _, err := c.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{Namespace: name,
		WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	roles, err := service.ParseRoles("cycle,sync:main")
	if err != nil {
		t.Fatal(err)
	}
	var own client.Client
	lab.Await(t, "the server knows the namespace", func() bool {
		own, err = service.Dial(t.Context(), client.Options{HostPort: address, Namespace: name})
		if err != nil {
			return false
		}
		s, err := service.Start(service.Options{Client: own, Roles: roles})
		if err != nil {
			own.Close()
			return false
		}
		s.Stop()
		return true
	})
	defer own.Close()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- service.Run(ctx, service.Options{Client: own, Roles: roles}) }()
	if _, err := c.OperatorService().DeleteNamespace(t.Context(), &operatorservice.DeleteNamespaceRequest{Namespace: name}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(lab.Patience):
		t.Error("it goes on, and polls nothing")
	}
}
