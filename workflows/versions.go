package workflows

import "go.temporal.io/sdk/workflow"

// Every workflow.GetVersion of this package is a named predicate in this file,
// with the histories in testdata that need it.

// writesSites: since the second release, cycles write the regions' status
// pages. The histories recorded before (all without "site" in their names) do not.
func writesSites(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "write sites", workflow.DefaultVersion, 1) >= 1
}

// weavesWheels: since the third release, cycles build wheels. Before, there was
// no engine for their kind, and no recorded history has one.
func weavesWheels(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "weave wheels", workflow.DefaultVersion, 1) >= 1
}

// reports: since the fourth release, cycles write down how things stand and
// tell a webhook. The histories recorded before do not.
func reports(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "report", workflow.DefaultVersion, 1) >= 1
}

// sparesProjects: where the guard holds a plan of a PyPI mirror, what removes
// nothing goes on. The histories recorded before have no second plan.
func sparesProjects(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "spare projects", workflow.DefaultVersion, 1) >= 1
}
