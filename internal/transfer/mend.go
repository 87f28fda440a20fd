package transfer

import (
	"context"
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// Sources says where the content of damaged files may still be had.
type Sources struct {
	Client *fetch.Client
	// Copies are base URLs of the same tree: what regions serve.
	Copies []string
	// Upstream returns how to ask upstream for a file; ok is false if that is
	// unknown, as for a page of our own.
	Upstream func(ctx context.Context, e manifest.Entry) (_ fetch.Request, ok bool, err error)
}

// Mend brings damaged files back, each from the first of these that has its
// very bytes: the content that the state keeps, upstream, a copy that a region
// serves. It returns the paths that are whole again; the error says why others
// are not.
func Mend(ctx context.Context, t *tree.Tree, damaged []manifest.Entry, s Sources) (mended []string, err error) {
	var all []error
	for _, e := range damaged {
		err := s.mend(ctx, t, e)
		if err != nil && fatal(ctx, err) {
			return mended, errors.Join(append(all, err)...)
		}
		if err != nil {
			all = append(all, fmt.Errorf("transfer: mend %s: %w", e.Path, err))
			continue
		}
		mended = append(mended, e.Path)
	}
	return mended, errors.Join(all...)
}

func (s Sources) mend(ctx context.Context, t *tree.Tree, e manifest.Entry) error {
	if e.Kind.IsIndex() {
		f, ok, err := t.Kept(e.Digest, e.Path)
		if err != nil {
			return err
		}
		if ok {
			return t.Mend(e, f)
		}
	}
	f, err := t.CreateFor(e.Path)
	if err != nil {
		return err
	}
	if err := s.get(ctx, e, f); err != nil {
		_ = f.Discard() // what is wrong is said already
		return err
	}
	return t.Mend(e, f)
}

func (s Sources) get(ctx context.Context, e manifest.Entry, f *tree.File) error {
	req, ok, err := s.Upstream(ctx, e)
	if err == nil && ok {
		req.Size, req.SHA256 = e.Size, e.Digest.String()
		_, err = s.Client.Get(ctx, req, f)
	}
	switch {
	case err == nil && ok, ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case len(s.Copies) == 0:
		return errors.Join(err, &fault.Error{Kind: fault.Gone, Op: "transfer: mend", Subject: e.Path, Err: errors.New("no region has a copy"),
			Advice: "restore the file from a backup"})
	}
	if reset := f.Reset(); reset != nil {
		return reset
	}
	_, copied := s.Client.Get(ctx, fetch.Request{Upstreams: s.Copies, Path: e.Path, Size: e.Size, SHA256: e.Digest.String()}, f)
	if copied != nil {
		return errors.Join(err, copied)
	}
	return nil
}
