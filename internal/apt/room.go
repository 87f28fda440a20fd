package apt

import (
	"fmt"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// room refuses indexes that the disk has no room for, before their first byte.
// Plain forms beside others are not counted: archives list and do not serve them.
func (b *builder) room(indexes []wantedIndex) error {
	var files []debrepo.File
	for _, index := range indexes {
		for _, f := range index.Forms {
			if f.Hashes.Proves() && (f.Path != index.Path || len(index.Forms) == 1) {
				files = append(files, f)
			}
		}
	}
	return b.fits(b.lacking(files))
}

// lacking sums up, in bytes, what the state does not hold, as far as sizes are known.
func (b *builder) lacking(files []debrepo.File) (sum int64) {
	for _, f := range files {
		if d, err := manifest.ParseDigest(f.Hashes.SHA256); err == nil && b.t.HasIndex(d, f.Size) {
			continue
		}
		if sum += max(f.Size, 0); sum < 0 { // sizes are a stranger's word
			return 1<<63 - 1
		}
	}
	return sum
}

// fits returns fault.NoSpace if so many bytes more would fill the state's disk.
func (b *builder) fits(size int64) error {
	if size == 0 || b.e.cfg.Room == nil {
		return nil
	}
	room, err := b.e.cfg.Room(b.t)
	if err != nil || room >= size {
		return err
	}
	return &fault.Error{Kind: fault.NoSpace, Op: "apt: plan suite", Subject: suiteDir(b.suite),
		Err:    fmt.Errorf("%d bytes of indexes to fetch, and room for %d beside what stays free", size, max(room, 0)),
		Advice: "free space on the disk of storage.state, mirror fewer indexes, or lower storage.min-free"}
}
