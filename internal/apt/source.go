package apt

import (
	"context"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Source returns where upstream has a file of the tree: under the same path.
func (e *Engine) Source(_ context.Context, _ *tree.Tree, entry manifest.Entry) (fetch.Request, bool, error) {
	return fetch.Request{Upstreams: e.cfg.Upstreams, Path: entry.Path}, true, nil
}
