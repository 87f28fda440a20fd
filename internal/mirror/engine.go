package mirror

import (
	"context"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Engine brings one kind of upstream into a tree.
type Engine interface {
	// Plan asks upstream what changed since the committed generation and stores
	// a plan in t. The digest is empty if nothing changed.
	Plan(ctx context.Context, t *tree.Tree) (digest string, info tree.PlanInfo, err error)
	// Settle turns a fetched plan into the next generation. What could not be
	// fetched stays as it was and is named in the notes; with nothing left to
	// change the request's Manifest is nil.
	Settle(ctx context.Context, t *tree.Tree, p *tree.Plan) (tree.CommitRequest, []tree.Note, error)
	// Source returns how to ask upstream for the very bytes of a file that is
	// damaged; ok is false if upstream does not have it, as a page of our own.
	Source(ctx context.Context, t *tree.Tree, e manifest.Entry) (_ fetch.Request, ok bool, err error)
}
