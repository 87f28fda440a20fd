package dir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

func (r *Region) segment(d manifest.Digest) string {
	s := d.String()
	return r.path("segments", s[:2], s)
}

// ReadSegment reads a segment that the region keeps. It makes Region the reading half of a manifest.Store.
func (r *Region) ReadSegment(d manifest.Digest) ([]byte, error) { return os.ReadFile(r.segment(d)) }

// ReadSegmentAt reads a part of one.
func (r *Region) ReadSegmentAt(d manifest.Digest, buf []byte, offset int64) error {
	return tree.ReadAt(r.segment(d), buf, offset)
}

// WriteSegment refuses: the region's segments are copies.
func (r *Region) WriteSegment(d manifest.Digest, _ []byte) error {
	return fmt.Errorf("dir: write segment %s: a region's manifests are copies", d)
}

// manifestOf opens the region's copy of a generation's manifest, the empty one for nil.
func (r *Region) manifestOf(s *tree.Served) (*manifest.Manifest, error) {
	if s == nil {
		return manifest.Open(r, manifest.ID{})
	}
	id, err := s.ManifestID()
	if err != nil {
		return nil, err
	}
	return manifest.Open(r, id)
}

// adopt copies the manifest id from src into the region, except what trusted
// holds already, and opens the copy.
func (s *session) adopt(src manifest.Store, id manifest.ID, trusted *manifest.Manifest) (*manifest.Manifest, error) {
	have := map[manifest.Digest]bool{trusted.ID(): true, {}: true}
	for _, d := range trusted.Segments() {
		have[d] = true
	}
	if err := s.copySegment(src, id, have); err != nil {
		return nil, err
	}
	m, err := manifest.Open(s, id)
	if err != nil {
		return nil, err
	}
	for _, d := range m.Segments() {
		if err := s.copySegment(src, d, have); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (s *session) copySegment(src manifest.Store, d manifest.Digest, have map[manifest.Digest]bool) error {
	if have[d] {
		return nil
	}
	have[d] = true
	// One that an earlier attempt left may be torn by a power cut.
	if data, err := s.ReadSegment(d); err == nil && sha256.Sum256(data) == d {
		return nil
	}
	data, err := src.ReadSegment(d)
	if err != nil {
		return fmt.Errorf("dir: copy segment %s: %w", d, err)
	}
	if sha256.Sum256(data) != d {
		return &fault.Error{Kind: fault.Unproved, Op: "dir: copy segment", Subject: d.String(), Advice: "restore the origin's state"}
	}
	temp := s.temp()
	s.Crash("segment")
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return fmt.Errorf("dir: copy segment: %w", err)
	}
	// Twice: a run that woke up late may just remove the directory that was empty.
	for range 2 {
		if err = mkdir(filepath.Dir(s.segment(d))); err == nil {
			err = durable.Rename(temp, s.segment(d)) // durable at the sync before the flip
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("dir: copy segment: %w", err)
	}
	return nil
}
