package apt

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// bySHA512 begins the note of a missing object that its SHA-512 alone proves.
const bySHA512 = "sha512:"

// lost is an object that could not be had to learn its SHA-256.
type lost struct {
	entry manifest.Entry
	err   error
}

// unproved is the row of a missing object of which nobody knows the SHA-256. The
// digest in its place is that of its note, so that no two objects share one.
func unproved(e manifest.Entry, sum512 string) manifest.Entry {
	e.Note = bySHA512 + sum512
	e.Digest = sha256.Sum256([]byte(e.Note))
	return e
}

// lose notes an object that only its SHA-512 proves and that upstream does not
// have, or has with other bytes. It reports whether the suite may do without it.
func (b *builder) lose(e manifest.Entry, sum512 string, err error) bool {
	r := tree.Result{Path: e.Path, Kind: string(fault.KindOf(err))}
	if err == nil || !b.e.cfg.Tolerate || !tolerable(r) || len(b.lost) >= maxTolerated {
		return false
	}
	if b.lost == nil {
		b.lost = map[string]lost{}
	}
	e.Digest = manifest.Digest{}
	b.lost[e.Path] = lost{unproved(e, sum512), err}
	return true
}

// settleLost puts what is lost among what is missing. What an index of another
// architecture gives a SHA-256 for is left to the fetch.
func (b *builder) settleLost() error {
	var gone []string
	for _, p := range slices.Sorted(maps.Keys(b.lost)) {
		_, named := slices.BinarySearchFunc(b.entries, p, func(e manifest.Entry, p string) int { return strings.Compare(e.Path, p) })
		if named {
			continue
		}
		l := b.lost[p]
		gone = append(gone, p)
		b.missing = append(b.missing, l.entry)
		b.notes = append(b.notes, tree.Note{Unit: b.suite, Kind: string(fault.KindOf(l.err)), Error: p + leftOut + l.err.Error(), Standing: true})
	}
	slices.SortFunc(b.missing, manifest.Compare)
	if most := tolerated(int64(len(b.entries))); int64(len(gone)) > most {
		return fmt.Errorf("apt: plan suite %s: %d objects cannot be had, more than the %d that are tolerated; the first: %w", b.suite, len(gone), most, b.lost[gone[0]].err)
	}
	return nil
}
