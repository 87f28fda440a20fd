package pypi

import (
	"bytes"

	"mirrorcycle/internal/simpleindex"
)

// Misspell makes the engine render old as other in the JSON form of a project's pages.
func (e *Engine) Misspell(project, old, other string) {
	e.render = func(p *simpleindex.Project) rendered {
		r := render(p)
		if p.Name == project {
			r.json = bytes.ReplaceAll(r.json, []byte(old), []byte(other))
		}
		return r
	}
}
