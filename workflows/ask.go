package workflows

import (
	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
)

// Ask puts one question or one command to the storage of a mirror, for
// starters that do not see its disks.
func Ask(ctx workflow.Context, in activities.Question) (activities.Answer, error) {
	mark(ctx, attrMirror.ValueSet(in.Target.Mirror.Name))
	queue := SyncQueue(in.Target.Storage.Name)
	return call[activities.Answer](options(ctx, "Ask", queue, in.Verb+" "+in.Target.Mirror.Name), syncs.Answer, in)
}
