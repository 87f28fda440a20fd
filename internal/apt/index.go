package apt

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// maxPlain bounds the content of an index whose plain size Release does not tell.
const maxPlain = 4 << 30

// form is one compression of an index, with its content kept in the state.
type form struct {
	debrepo.File
	digest manifest.Digest
}

// leftForm is a form that Release lists and that could not be had.
type leftForm struct {
	debrepo.File
	err error
}

// keeping is how the indexes of a suite are fetched.
type keeping struct {
	upstreams []string // that have its Release
	dir       string
	byHash    bool
	last      bool // of all attempts
}

// atOnce is how many indexes are fetched at once: many are small, and far away.
const atOnce = 8

// found is what of an index could be had, and what could not.
type found struct {
	forms []form
	left  []leftForm
}

// keepAll brings the forms of all indexes into the state.
func (e *Engine) keepAll(ctx context.Context, t *tree.Tree, indexes []wantedIndex, how keeping) ([]found, error) {
	out := make([]found, len(indexes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, index := range indexes {
		g.Go(func() (err error) {
			out[i].forms, out[i].left, err = e.keep(ctx, t, index.Index, how)
			return err
		})
	}
	return out, g.Wait()
}

// keep brings every form of an index that upstream serves into the state.
// Archives list forms that they do not serve, and one of several may be wrong:
// one is enough. What is left has a reason each. Before the last attempt a wrong
// one is an error: the suite is begun anew.
func (e *Engine) keep(ctx context.Context, t *tree.Tree, index debrepo.Index, how keeping) (kept []form, left []leftForm, err error) {
	for _, f := range index.Forms {
		if !f.Hashes.Proves() {
			continue
		}
		d, err := e.keepForm(ctx, t, f, how)
		if stop := stops(ctx, err); stop != nil {
			return nil, nil, stop
		}
		switch {
		case errors.Is(err, fault.Unproved) && !how.last:
			return nil, nil, err // upstream may be publishing
		case err == nil:
			kept = append(kept, form{f, d})
		case absent(err), errors.Is(err, fault.Unproved), errors.Is(err, fault.Unavailable):
			left = append(left, leftForm{f, err})
		default:
			return nil, nil, err
		}
	}
	return kept, left, nil
}

// fresh keeps caches in between from answering with what had the name before.
var fresh = http.Header{"Cache-Control": {"max-age=0"}}

func (e *Engine) keepForm(ctx context.Context, t *tree.Tree, f debrepo.File, how keeping) (manifest.Digest, error) {
	if d, err := manifest.ParseDigest(f.Hashes.SHA256); err == nil && t.HasIndex(d, f.Size) {
		return d, nil
	}
	if f.Size == 0 && f.Hashes.SHA256 == emptySHA256 {
		return t.PutIndex(nil) // archives list empty indexes, and do not serve them
	}
	req := fetch.Request{Upstreams: how.upstreams, Path: join(how.dir, f.Path), Size: f.Size, SHA256: f.Hashes.SHA256, SHA512: f.Hashes.SHA512}
	if how.byHash {
		alg, hex := f.Hashes.Strongest()
		req.Path = join(how.dir, debrepo.ByHashPath(f.Path, alg, hex))
	} else {
		req.Header = fresh
	}
	res, err := e.keepContent(ctx, t, req)
	if how.byHash && absent(err) {
		// Some archives announce by-hash and lay only a part of the indexes down.
		req.Path, req.Header = join(how.dir, f.Path), fresh
		res, err = e.keepContent(ctx, t, req)
	}
	switch {
	case err != nil && fault.KindOf(err) != "":
		return manifest.Digest{}, &indexError{path: join(how.dir, f.Path), err: err}
	case err != nil:
		return manifest.Digest{}, err
	}
	return manifest.ParseDigest(res.SHA256)
}

// keepContent downloads what req asks for into the state.
func (e *Engine) keepContent(ctx context.Context, t *tree.Tree, req fetch.Request) (fetch.Result, error) {
	if req.Upstreams == nil {
		req.Upstreams = e.cfg.Upstreams
	}
	sink, err := t.Create()
	if err != nil {
		return fetch.Result{}, err
	}
	res, err := e.client.Get(ctx, req, sink)
	if err != nil {
		if discard := sink.Discard(); discard != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w (and %v)", err, discard)
		}
		return res, err
	}
	d, err := manifest.ParseDigest(res.SHA256)
	if err != nil {
		return res, err
	}
	return res, t.PutIndexFile(sink, d)
}

// emptySHA256 is the digest of no bytes.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// formError is why a form does not hold the index that Release lists.
type formError struct{ error }

func (e formError) Unwrap() error { return e.error }

// read hands the text of an index, as one of its forms holds it, to list. A
// form that does not unpack to what Release lists is a formError, whatever list
// made of it.
func read(t *tree.Tree, index debrepo.Index, f form, list func(io.Reader) error) error {
	limit, want := int64(maxPlain), debrepo.File{}
	if plain, ok := index.Plain(); ok {
		limit, want = plain.Size, plain
	}
	in, err := t.OpenIndex(f.digest)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, err := debrepo.Decompress(f.Path, in, limit)
	if err != nil {
		return formError{subject(err, f.Path)}
	}
	text, stop := ahead(plain)
	defer stop()
	sum256, sum512 := sha256.New(), sha512.New()
	sum := io.Writer(sum256)
	if want.Hashes.SHA256 == "" {
		sum = sum512
	}
	err = list(io.TeeReader(text, sum))
	if _, unread := io.Copy(sum, text); unread != nil {
		return formError{subject(unread, f.Path)}
	}
	got := debrepo.Hashes{SHA256: hex.EncodeToString(sum256.Sum(nil)), SHA512: hex.EncodeToString(sum512.Sum(nil))}
	if want.Hashes.SHA256 != "" && want.Hashes.SHA256 != got.SHA256 || want.Hashes.SHA256 == "" && want.Hashes.SHA512 != "" && want.Hashes.SHA512 != got.SHA512 {
		return formError{&fault.Error{Kind: fault.Unproved, Op: "apt: unpack", Subject: f.Path,
			Err: fmt.Errorf("it holds another text than %s", index.Path), Advice: "tell upstream"}}
	}
	if err != nil && fault.KindOf(err) == "" {
		return err
	}
	return subject(err, f.Path)
}

// ahead reads r, and closes it, in a goroutine of its own until stop is called:
// unpacking an index takes as long as reading what is in it.
func ahead(r io.ReadCloser) (text io.Reader, stop func()) {
	out, in := io.Pipe()
	var g sync.WaitGroup
	g.Go(func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{in}, r, make([]byte, 64<<10))
		in.CloseWithError(errors.Join(err, r.Close())) // nil is the end of the text
	})
	return out, func() {
		out.Close()
		g.Wait()
	}
}
