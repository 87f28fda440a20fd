package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// stage is one kind of activity: from the first start to the last end, in time since the cycle's.
type stage struct {
	name     string
	from, to time.Duration
	n        int
}

// stages reads from the histories of all workflows begun since start when each kind of activity ran.
func stages(ctx context.Context, c client.Client, start time.Time) (string, error) {
	list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("StartTime >= %q", start.Add(-time.Second).UTC().Format(time.RFC3339Nano))})
	if err != nil {
		return "", err
	}
	var all []*stage
	for _, w := range list.Executions {
		events := c.GetWorkflowHistory(ctx, w.Execution.WorkflowId, w.Execution.RunId, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		names, begun := map[int64]string{}, map[int64]time.Time{}
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				return "", err
			}
			switch at := e.EventTime.AsTime(); a := e.Attributes.(type) {
			case *history.HistoryEvent_ActivityTaskScheduledEventAttributes:
				names[e.EventId] = a.ActivityTaskScheduledEventAttributes.ActivityType.Name
			case *history.HistoryEvent_ActivityTaskStartedEventAttributes:
				begun[a.ActivityTaskStartedEventAttributes.ScheduledEventId] = at
			case *history.HistoryEvent_ActivityTaskCompletedEventAttributes:
				id := a.ActivityTaskCompletedEventAttributes.ScheduledEventId
				all = add(all, names[id], begun[id].Sub(start), at.Sub(start))
			}
		}
	}
	slices.SortFunc(all, func(a, b *stage) int { return cmp.Compare(a.from, b.from) })
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%s (%d) %.2f–%.2f", s.name, s.n, s.from.Seconds(), s.to.Seconds()))
	}
	return strings.Join(out, ", "), nil
}

func add(all []*stage, name string, from, to time.Duration) []*stage {
	for _, s := range all {
		if s.name == name {
			s.from, s.to, s.n = min(s.from, from), max(s.to, to), s.n+1
			return all
		}
	}
	return append(all, &stage{name, from, to, 1})
}
