package reqsource

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

// place reads requirements and constraints from URLs or files. They are taken
// together or not at all.
func (s *Source) place(ctx context.Context, r *record) ([]string, error) {
	had := r.Refs[""]
	next := refRecord{Files: map[string]fileRecord{}}
	for _, where := range s.files() {
		f, err := s.one(ctx, where, had.Files[where])
		if err != nil {
			return []string{stale(where, err)}, err
		}
		next.Files[where] = f
	}
	r.Refs = maps.Clone(r.Refs)
	r.Refs[""] = next
	return nil, nil
}

func (s *Source) one(ctx context.Context, where string, had fileRecord) (fileRecord, error) {
	next := fileRecord{}
	var data []byte
	var err error
	if strings.HasPrefix(where, "/") {
		data, err = readFile(where)
	} else {
		var res fetch.Result
		data, res, err = s.cfg.Client.GetBytes(ctx, fetch.Request{Path: where, Index: true, Max: maxText, ETag: had.ETag, LastModified: had.LastModified})
		if err == nil && res.NotModified {
			return had, nil
		}
		next.ETag, next.LastModified = res.ETag, res.LastModified
	}
	if err != nil {
		return next, err
	}
	kept, err := s.keep(where, data)
	next.SHA256, next.Notes = kept.SHA256, kept.Notes
	return next, err
}

func readFile(name string) ([]byte, error) {
	wrong := func(err error) error {
		return &fault.Error{Kind: fault.Config, Op: "reqsource: read", Subject: name, Err: err, Advice: "name a readable file in the spec"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, wrong(err)
	}
	if len(data) > maxText {
		return nil, wrong(errors.New("it is larger than 16 MB"))
	}
	return data, nil
}
