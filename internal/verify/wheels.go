package verify

import (
	"context"
	"path"
	"strings"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// wheels checks the changed pages of a wheels mirror: an own wheel they name is
// an object of the generation, every other file is a foreign one, which is
// looked up in its own mirror with all other entries.
func (c *checker) wheels(ctx context.Context) error {
	own := c.t.ID().Mirror + "/"
	for _, e := range c.indexes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if path.Base(e.Path) != simpleindex.V1JSONName {
			continue
		}
		data, ok, err := c.read(e, maxPage)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		err = c.project(e, data, own, func(name string) (string, bool) {
			if object, mine := strings.CutPrefix(name, own); mine {
				return object, true
			}
			mirror, object, ok := strings.Cut(name, "/")
			return manifest.ForeignPath(mirror, object), ok
		})
		if err != nil {
			return err
		}
	}
	return nil
}
