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
	m.result.Replaced = m.in.Replaced
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

// obey breaks off everything for another order. The one that is carried out, or
// waits, is no other. One that waits gives way to a later one, and its person is told.
func (m *refresh) obey(o Order) {
	if m.order != nil && o.Same(*m.order) || m.order == nil && o.Same(m.in.Order) {
		return
	}
	if m.order != nil {
		m.replace(*m.order)
	}
	m.order = &o
	m.quit()
}

// maxReplaced is how many orders a result names that came to nothing.
const maxReplaced = 20

// replace notes that an order came to nothing, because a later one took its place.
func (m *refresh) replace(o Order) {
	if len(m.result.Replaced) < maxReplaced {
		m.result.Replaced = append(m.result.Replaced[:len(m.result.Replaced):len(m.result.Replaced)], o)
	}
}

// hearLast takes what waits when a run ends or goes on in a new one: signals that
// arrived together with the end of the last step are nobody's otherwise.
func (m *refresh) hearLast(ctx workflow.Context) {
	settle(ctx)
	m.hear(ctx, true)
	switch {
	case m.order != nil:
		if m.in.Order != (Order{}) && m.result.Changes == nil { // broken off
			m.replace(m.in.Order)
		}
		in := m.in
		in.Order, in.Going, in.DryRun = *m.order, nil, false // a person wants it done, whatever this run was for
		m.again = &in
	case m.again != nil && m.again.Going != nil:
		m.again.Going.Stop = m.stop
	}
	if m.again != nil {
		m.again.Replaced = m.result.Replaced
	}
}

// settle lets every other coroutine run that can. A signal that came with this
// workflow task may be in the hands of one that has not run yet.
func settle(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	settled := false
	workflow.GoNamed(ctx, "settle", func(workflow.Context) { settled = true })
	_ = workflow.Await(ctx, func() bool { return settled })
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
		selector.Select(ctx)
	}
}
