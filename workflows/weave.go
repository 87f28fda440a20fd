package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// Told is what a mirror tells its cycle while it goes on: others wait for it.
type Told struct {
	Mirror string `json:"mirror"`
	What   string `json:"what"`
}

// A wheels mirror tells when it is known what it wants, an index mirror when
// its pages are as new as they will be in this cycle.
const (
	toldRequired  = "required"
	toldRefreshed = "refreshed"
)

// The signals between a cycle and its mirrors.
const (
	signalTold = "told" // a Told, to the cycle
	signalGo   = "go"   // to a mirror that waits for others
)

// weave is the order that wheels mirrors bring into a cycle: what they want is
// known before their index mirrors plan, and those are refreshed before wheels
// are planned. Nobody waits for what is not part of the cycle.
type weave struct {
	waiting []waiting
	child   map[string]workflow.ChildWorkflowFuture
}

// waiting is a mirror that is refreshed after another one has told something.
type waiting struct {
	mirror string
	told   Told
}

func newWeave(targets []activities.Target) weave {
	w := weave{child: map[string]workflow.ChildWorkflowFuture{}}
	has := func(name string, kind mirrorspec.Kind) bool {
		return slices.ContainsFunc(targets, func(t activities.Target) bool { return t.Mirror.Name == name && t.Mirror.Kind == kind })
	}
	for _, t := range targets {
		m := t.Mirror
		if m.Kind == mirrorspec.Wheels {
			if has(m.Index, mirrorspec.PyPI) {
				w.waiting = append(w.waiting, waiting{m.Name, Told{m.Index, toldRefreshed}})
			}
			continue
		}
		for _, name := range m.Requirements {
			if has(name, mirrorspec.Wheels) {
				w.waiting = append(w.waiting, waiting{m.Name, Told{name, toldRequired}})
			}
		}
	}
	return w
}

// waits reports whether a mirror has to wait for others before it is refreshed.
func (w *weave) waits(mirror string) bool {
	return slices.ContainsFunc(w.waiting, func(x waiting) bool { return x.mirror == mirror })
}

// tells reports whether another mirror waits for what this one tells.
func (w *weave) tells(mirror string) bool {
	return slices.ContainsFunc(w.waiting, func(x waiting) bool { return x.told.Mirror == mirror })
}

// note lets those mirrors go that waited for nothing but this.
func (w *weave) note(ctx workflow.Context, told Told) {
	var freed []string
	var left []waiting
	for _, x := range w.waiting {
		if x.told == told {
			freed = append(freed, x.mirror)
		} else {
			left = append(left, x)
		}
	}
	w.waiting = left
	for _, name := range freed {
		if !w.waits(name) { // one that has ended meanwhile needs no word
			_ = w.child[name].SignalChildWorkflow(ctx, signalGo, nil).Get(ctx, nil)
		}
	}
}

// listen hears what the mirrors tell, as long as somebody waits for it.
func (c *cycle) listen(ctx workflow.Context) {
	if len(c.weave.waiting) == 0 {
		return
	}
	heard := workflow.GetSignalChannel(ctx, signalTold)
	workflow.GoNamed(ctx, "hear the mirrors", func(ctx workflow.Context) {
		for {
			var told Told
			if !heard.Receive(ctx, &told) {
				return
			}
			c.weave.note(ctx, told)
		}
	})
}
