package pypi

import (
	"context"

	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
)

// Source asks upstream's page of the project whose file an object is for the
// file's URL. ok is false for pages, for METADATA laid beside a wheel, and for
// files that upstream no longer names.
func (e *Engine) Source(ctx context.Context, t *tree.Tree, entry manifest.Entry) (_ fetch.Request, ok bool, err error) {
	project, err := e.owner(t, entry.Path)
	if err != nil || project == "" {
		return fetch.Request{}, false, err
	}
	data, res, err := e.get(ctx, project+"/", fetch.Request{Max: maxPage})
	if err != nil {
		return fetch.Request{}, false, err
	}
	page, err := simpleindex.ParsePage(data, project, res.URL)
	if err != nil {
		return fetch.Request{}, false, subject(err, res.URL)
	}
	for _, f := range page.Files {
		if f.SHA256 == entry.Digest.String() {
			return fetch.Request{Path: f.URL}, true, nil
		}
	}
	return fetch.Request{}, false, nil
}

// owner returns the project whose table of objects has an object, "" if none has.
func (e *Engine) owner(t *tree.Tree, object string) (string, error) {
	g, err := t.Committed()
	if err != nil {
		return "", err
	}
	objects, err := t.Table(g, objectsTable)
	if err != nil {
		return "", err
	}
	for _, project := range owners(object, "") {
		if _, ok, err := objects.Lookup(project + "/" + object); ok || err != nil {
			return project, err
		}
	}
	return "", nil
}
