package yum

import (
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/manifest"
)

// droppedAt begins the note of a row that no repomd.xml names any more, with
// the time since when, in seconds since 1970.
const droppedAt = "dropped "

// keepDropped carries data files under simple names for the grace after the
// last repomd.xml that named them. Those that have their checksum in their
// names are objects, which the tree retains itself.
func (b *builder) keepDropped(old repoState, now time.Time) error {
	was, err := openTable(b.t, old.Table)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, e := range b.entries {
		named[e.Path] = true
	}
	for e, err := range was.All() {
		if err != nil {
			return err
		}
		if e.Kind != manifest.Index1 || named[e.Path] || !strings.Contains("/"+e.Path, "/repodata/") {
			continue
		}
		since := now
		if text, ok := strings.CutPrefix(e.Note, droppedAt); ok {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return err
			}
			since = time.Unix(seconds, 0)
		}
		if now.Sub(since) < b.e.cfg.Grace {
			e.Note = droppedAt + strconv.FormatInt(since.Unix(), 10)
			b.entries = append(b.entries, e)
		}
	}
	return nil
}
