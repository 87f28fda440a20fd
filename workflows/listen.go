package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"
)

// The signals to a refresh that runs.
const (
	// SignalOrder carries an Order: what runs is broken off, and the order begins.
	SignalOrder = "order"
	// SignalHold carries the reason why a person put the mirror on hold.
	SignalHold = "hold"
)

// early are the stages in which a refresh can still be stopped.
var early = []string{"", "open", "plan", "fetch"}

// listen answers questions and requests from outside while the tree is refreshed.
func (m *refresh) listen(ctx workflow.Context) error {
	mark(ctx, attrMirror.ValueSet(m.result.Mirror), attrKind.ValueSet(string(m.result.Kind)))
	if err := workflow.SetQueryHandler(ctx, "progress", func() (Progress, error) { return m.progress, nil }); err != nil {
		return err
	}
	workflow.GoNamed(ctx, "hear persons", func(ctx workflow.Context) { m.hear(ctx, false) })
	return workflow.SetUpdateHandlerWithOptions(ctx, "hold", func(_ workflow.Context, reason string) (string, error) {
		m.hold(reason)
		return "this run will not commit; the next cycle plans anew", nil
	}, workflow.UpdateHandlerOptions{
		Description: "stop this run before it commits; the argument is the reason",
		Validator: func(reason string) error {
			if reason == "" {
				return fmt.Errorf("a reason is needed")
			}
			if !slices.Contains(early, m.progress.Stage) {
				return fmt.Errorf("this run is past the point where it can be stopped; starter hold stops the next one")
			}
			return nil
		},
	})
}

// hold breaks off what was not committed yet.
func (m *refresh) hold(reason string) {
	if !slices.Contains(early, m.progress.Stage) {
		return
	}
	m.stop = reason
	m.quit()
}

// obey breaks off everything for another order. The one that is carried out is no other.
func (m *refresh) obey(o Order) {
	if o.Approved == m.in.Order.Approved && o.Rollback == m.in.Order.Rollback {
		return
	}
	m.order = &o
	m.quit()
}

// hear takes the signals in: for ever, or, at the end, those that wait.
func (m *refresh) hear(ctx workflow.Context, last bool) {
	orders, holds := workflow.GetSignalChannel(ctx, SignalOrder), workflow.GetSignalChannel(ctx, SignalHold)
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(orders, func(c workflow.ReceiveChannel, _ bool) {
		var o Order
		if c.ReceiveAsync(&o) {
			m.obey(o)
		}
	})
	selector.AddReceive(holds, func(c workflow.ReceiveChannel, _ bool) {
		var reason string
		if c.ReceiveAsync(&reason) {
			m.hold(reason)
		}
	})
	for !last || selector.HasPending() {
		if ctx.Err() != nil {
			return
		}
		selector.Select(ctx)
	}
}
