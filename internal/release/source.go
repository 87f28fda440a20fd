package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Origin says where a mirror's generations come from.
type Origin struct {
	Region  mirrorspec.Region // who asks: it pulls over HTTP or shares the file system
	Storage mirrorspec.Storage
	Mirror  string
}

// From opens the source of a mirror's generations for a region. The caller calls done when it has finished.
func From(o Origin) (src backend.Source, done func(), err error) {
	if o.Region.Pull {
		if o.Storage.URL == "" {
			return nil, nil, &fault.Error{Kind: fault.Config, Op: "release: open origin", Subject: o.Region.Name,
				Err: errors.New("the region pulls, but storage has no url"), Advice: "give storage.url, or pull = false"}
		}
		h := newHTTPSource(o.Storage.URL, o.Mirror)
		return h, h.client.CloseIdleConnections, nil
	}
	t, err := tree.Read(tree.At(o.Storage.Root, o.Storage.State, o.Mirror))
	if err != nil {
		return nil, nil, err
	}
	return local{t}, func() { t.Close() }, nil
}

// local is a tree on this host's file system.
type local struct{ *tree.Tree }

func (l local) WriteSegment(manifest.Digest, []byte) error { return errReadOnly }

func (l local) Sealed(context.Context) (*tree.Generation, error) { return l.Tree.Sealed() }

// Index returns an *os.File, so that whoever can may link it.
func (l local) Index(_ context.Context, d manifest.Digest) (io.ReadCloser, error) {
	return l.OpenIndex(d)
}

func (l local) Object(_ context.Context, e manifest.Entry) (io.ReadCloser, error) {
	f, err := l.OpenFile(e.Path)
	if err != nil {
		return nil, fmt.Errorf("release: open object: %w", err)
	}
	return f, nil
}

func (l local) Path(p string) string { return filepath.Join(l.Dir(), filepath.FromSlash(p)) }

var errReadOnly = errors.New("release: a source is only read")
