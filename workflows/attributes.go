package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// The search attributes, by which the Web UI and tctl find runs. starter setup registers them.
var (
	attrMirror     = temporal.NewSearchAttributeKeyKeyword("MirrorName")
	attrKind       = temporal.NewSearchAttributeKeyKeyword("MirrorKind")
	attrRegion     = temporal.NewSearchAttributeKeyKeyword("MirrorRegion")
	attrGeneration = temporal.NewSearchAttributeKeyInt64("MirrorGeneration")
	attrOutcome    = temporal.NewSearchAttributeKeyKeyword("MirrorOutcome")
)

// SearchAttributes lists the names and types to register.
func SearchAttributes() map[string]string {
	return map[string]string{"MirrorName": "Keyword", "MirrorKind": "Keyword", "MirrorRegion": "Keyword",
		"MirrorGeneration": "Int", "MirrorOutcome": "Keyword"}
}

// mark sets search attributes. A server that lacks them must not stop a
// mirror, but it answers by failing the workflow task: setup comes first.
func mark(ctx workflow.Context, updates ...temporal.SearchAttributeUpdate) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not set", "error", err)
	}
}
