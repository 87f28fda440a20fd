package wheels

import (
	"context"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Source knows no upstream: what a wheels mirror has was built here.
func (e *Engine) Source(context.Context, *tree.Tree, manifest.Entry) (fetch.Request, bool, error) {
	return fetch.Request{}, false, nil
}
