package pypi

import (
	"bytes"
	"encoding/json"

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

// StateOf is the engine's note on a generation that was made from a root page of that serial.
func StateOf(cfg Config, serial int64) json.RawMessage {
	data, _ := json.Marshal(state{ETag: `"1"`, Serial: serial, Config: cfg.fingerprint(), Selection: cfg.selection()})
	return data
}
