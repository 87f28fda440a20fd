package apt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// maxPlain bounds the content of an index whose plain size Release does not tell.
const maxPlain = 4 << 30

// wantedIndex is an index with the component it belongs to.
type wantedIndex struct {
	debrepo.Index
	component string
}

// selects lists the indexes of r that cfg wants. A component or architecture
// that the suite does not have is a mistake in the spec.
func (e *Engine) selects(suite string, r *debrepo.Release) ([]wantedIndex, error) {
	if strings.HasSuffix(suite, "/") {
		return e.packages(suite, r, "", "")
	}
	var out []wantedIndex
	architectures := e.cfg.Architectures
	if r.SeparateAll() && !slices.Contains(architectures, "all") {
		architectures = append(slices.Clip(architectures), "all")
	}
	for _, component := range e.cfg.Components {
		for _, arch := range architectures {
			found, err := e.packages(suite, r, component, arch)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
		for _, index := range r.Indexes(component, "") {
			if index.Kind == debrepo.KindTranslations && slices.Contains(e.cfg.Translations, language(index.Path)) {
				out = append(out, wantedIndex{index, component})
			}
		}
	}
	return out, nil
}

func (e *Engine) packages(suite string, r *debrepo.Release, component, arch string) ([]wantedIndex, error) {
	var out []wantedIndex
	for _, index := range r.Indexes(component, arch) {
		if index.Kind == debrepo.KindPackages {
			out = append(out, wantedIndex{index, component})
		}
	}
	if len(out) == 0 && arch != "all" {
		return nil, &fault.Error{Kind: fault.Config, Op: "apt: plan suite", Subject: suiteDir(suite),
			Err: fmt.Errorf("the Release file lists no Packages for component %q and architecture %q", component, arch),
			Advice: fmt.Sprintf("the suite has components %s and architectures %s",
				strings.Join(r.Components, " "), strings.Join(r.Architectures, " "))}
	}
	return out, nil
}

// language returns "en" for i18n/Translation-en.
func language(p string) string { return strings.TrimPrefix(path.Base(p), "Translation-") }

// form is one compression of an index, with its content kept in the state.
type form struct {
	debrepo.File
	digest manifest.Digest
}

// keep brings every form of an index that upstream serves into the state.
// Archives list forms that they do not serve; one is enough.
func (e *Engine) keep(ctx context.Context, t *tree.Tree, dir string, index debrepo.Index, byHash bool) ([]form, error) {
	var out []form
	var missing error
	for _, f := range index.Forms {
		if !f.Hashes.Proves() {
			continue
		}
		d, err := e.keepForm(ctx, t, dir, f, byHash)
		switch {
		case absent(err):
			missing = err
		case err != nil:
			return nil, err
		default:
			out = append(out, form{f, d})
		}
	}
	if len(out) == 0 && index.Kind == debrepo.KindPackages {
		if missing == nil {
			missing = &fault.Error{Kind: fault.Unproved, Op: "apt: plan index", Subject: index.Path,
				Err: errors.New("the Release file gives neither SHA256 nor SHA512"), Advice: "upstream's Release is too old a format to be proved"}
		}
		return nil, missing
	}
	return out, nil
}

func (e *Engine) keepForm(ctx context.Context, t *tree.Tree, dir string, f debrepo.File, byHash bool) (manifest.Digest, error) {
	if d, err := manifest.ParseDigest(f.Hashes.SHA256); err == nil && t.HasIndex(d, f.Size) {
		return d, nil
	}
	req := fetch.Request{Path: join(dir, f.Path), Size: f.Size, SHA256: f.Hashes.SHA256, SHA512: f.Hashes.SHA512}
	if byHash {
		alg, hex := f.Hashes.Strongest()
		req.Path = join(dir, debrepo.ByHashPath(f.Path, alg, hex))
	}
	d, err := e.keepContent(ctx, t, req)
	if byHash && absent(err) {
		// Some archives announce by-hash and lay only a part of the indexes down.
		req.Path = join(dir, f.Path)
		d, err = e.keepContent(ctx, t, req)
	}
	if err != nil && fault.KindOf(err) != "" {
		err = &indexError{path: join(dir, f.Path), err: err}
	}
	return d, err
}

// keepContent downloads what req asks for into the state.
func (e *Engine) keepContent(ctx context.Context, t *tree.Tree, req fetch.Request) (manifest.Digest, error) {
	req.Upstreams = e.cfg.Upstreams
	sink, err := t.Create()
	if err != nil {
		return manifest.Digest{}, err
	}
	res, err := e.client.Get(ctx, req, sink)
	if err != nil {
		if discard := sink.Discard(); discard != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w (and %v)", err, discard)
		}
		return manifest.Digest{}, err
	}
	d, err := manifest.ParseDigest(res.SHA256)
	if err != nil {
		return d, err
	}
	return d, t.PutIndexFile(sink, d)
}

// read yields the packages of an index from its smallest form.
func read(t *tree.Tree, index debrepo.Index, forms []form, each func(debrepo.Package) error) error {
	f := forms[0]
	limit := int64(maxPlain)
	if plain, ok := index.Plain(); ok {
		limit = plain.Size
	}
	in, err := t.OpenIndex(f.digest)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, err := debrepo.Decompress(f.Path, in, limit)
	if err != nil {
		return subject(err, f.Path)
	}
	text, stop := ahead(plain)
	defer stop()
	for p, err := range debrepo.ReadPackages(text) {
		if err != nil {
			return subject(err, f.Path)
		}
		if err := each(p); err != nil {
			return fmt.Errorf("apt: read %s: %w", f.Path, err)
		}
	}
	return nil
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
