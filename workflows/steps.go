package workflows

import "mirrorcycle/internal/tree"

// A refresh that has much to bring does so in steps. Each is a run of the
// workflow with a generation of its own, sealed and served before the next one
// begins, and plans anew: what it finds in the tree it does not name again.

// nextStep has the refresh go on in a new run, if units are left and this one
// has brought some of them. A step that leaves as much as the one before ends
// it: the next cycle tries again.
func (m *refresh) nextStep() {
	info := m.result.Info
	if info == nil || info.Left == 0 || m.result.Changes == nil || m.ordered() || m.result.Error != "" || m.result.Outcome == Held ||
		m.result.Generation <= m.opened.Sealed {
		return
	}
	steps := Steps{Left: info.Left, Changes: *m.result.Changes, Downloaded: m.result.Downloaded, Count: 1}
	if before := m.in.Steps; before != nil {
		if info.Left >= before.Left {
			return
		}
		steps.Count += before.Count
	}
	in := m.in
	in.Steps, in.Going, in.Order = &steps, nil, Order{ReleaseWait: in.Order.ReleaseWait}
	m.again = &in
}

// before begins a run with what the steps before it have brought.
func (m *refresh) before() {
	if s := m.in.Steps; s != nil {
		m.result.Downloaded, m.progress.Step = s.Downloaded, s.Count+1
	}
}

// together adds what the steps before have changed to the changes of this one.
func (m *refresh) together(c *tree.Changes) *tree.Changes {
	s := m.in.Steps
	if s == nil {
		return c
	}
	sum := s.Changes
	if c != nil {
		sum.Added, sum.AddedBytes, sum.Dropped = sum.Added+c.Added, sum.AddedBytes+c.AddedBytes, sum.Dropped+c.Dropped
		sum.Replaced, sum.Indexes = sum.Replaced+c.Replaced, sum.Indexes+c.Indexes
	}
	return &sum
}

// whole tells what all steps came to, where the last one found nothing more.
func (m *refresh) whole() {
	if m.in.Steps != nil && m.result.Changes == nil {
		m.result.Changes = m.together(nil)
		m.result.Outcome = worse(m.result.Outcome, Done)
	}
}
