package yum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

const (
	repomdName = "repodata/repomd.xml"
	ascName    = repomdName + ".asc"
	keyName    = repomdName + ".key"
)

// attempts is how often a repository is begun when upstream publishes while it is read.
const attempts = 4

// repoPlan is a repository's way from its committed table to a new one.
type repoPlan struct {
	Repo    string    `json:"repo"`
	State   repoState `json:"state"`
	Emptied bool      `json:"emptied,omitempty"` // it had packages, and has none
	Jump    string    `json:"jump,omitempty"`    // what it says of its age that makes all that comes later count as old
	Notes   []tree.Note
	// All asks for the proof of every package: what proved them before was another thing.
	All bool `json:"all,omitempty"`
	// Replaced are objects whose path holds other bytes, which the spec allows.
	// Their content is kept in the state until the repository is settled.
	Replaced []manifest.Entry `json:"replaced,omitempty"`
}

var errNotListed = errors.New("this repomd.xml is not one that the metalink names")

// signers are the keys of a mirror, and what names them.
type signers struct {
	keys *rpmrepo.Keyring
	id   string
}

// plan brings a repository's metadata into the state and returns its new
// table, or nil if there is nothing new. Where upstream seems to publish while
// we read, the repository is begun anew from its repomd.xml.
func (e *Engine) plan(ctx context.Context, t *tree.Tree, r repo, keys signers, old repoState) (*repoPlan, error) {
	for attempt := 1; ; attempt++ {
		p, err := e.planOnce(ctx, t, r, keys, old, attempt > 1)
		if p == nil && err == nil && old.Missing != "" {
			return e.lookAgain(t, r.dir, old, keys.id)
		}
		if attempt == attempts || !midSync(err) {
			return p, err
		}
	}
}

// dataError is why a file that belongs to a repomd.xml could not be had, or does not fit it.
type dataError struct {
	path string
	err  error
}

func (e *dataError) Error() string { return fmt.Sprintf("yum: fetch %s: %v", e.path, e.err) }
func (e *dataError) Unwrap() error { return e.err }

// midSync reports whether err is what a repository looks like while upstream publishes it.
func midSync(err error) bool {
	var data *dataError
	return errors.As(err, &data) && (errors.Is(err, fault.Gone) || errors.Is(err, fault.Unproved))
}

func (e *Engine) planOnce(ctx context.Context, t *tree.Tree, r repo, keys signers, old repoState, again bool) (*repoPlan, error) {
	config := e.cfg.fingerprint()
	f, err := e.pointer(ctx, r, old, again || old.Config != config)
	if err == nil && (f == nil || sha256Of(f.repomd) == old.Digest && old.Config == config) {
		f, err = e.signedAnew(ctx, t, r, old)
	}
	if f == nil || err != nil {
		return nil, err
	}
	md, err := rpmrepo.ParseRepomd(f.repomd)
	if err != nil {
		return nil, about(err, path.Join(r.dir, repomdName))
	}
	if md.Older(old.Revision, old.Timestamp) {
		return nil, &fault.Error{Kind: fault.Stale, Op: "yum: plan repository", Subject: path.Join(r.dir, repomdName),
			Err:    fmt.Errorf("revision %q of %s is older than %q of %s, which was mirrored already", md.Revision, stamp(md.Timestamp()), old.Revision, stamp(old.Timestamp)),
			Advice: "the repository keeps its generation; check the upstream mirror"}
	}
	proof, err := e.proof(ctx, r, f, keys.keys, old)
	if err != nil {
		return nil, err
	}
	b := &builder{t: t, e: e, repo: r, src: f.src}
	if err := b.readKey(ctx, f); err != nil {
		return nil, err
	}
	if err := b.all(ctx, md, f, old); err != nil {
		return nil, err
	}
	table, err := b.write()
	if err != nil {
		return nil, err
	}
	p := &repoPlan{Repo: r.dir, Jump: md.Jump(old.Revision, old.Timestamp, time.Now()), Notes: b.notes, Emptied: old.Packages > 0 && b.packages == 0,
		All: old.Proof != "" && old.Proof != proof, State: repoState{ETag: f.res.ETag, LastModified: f.res.LastModified, Digest: sha256Of(f.repomd),
			Revision: md.Revision, Timestamp: md.Timestamp(), Proof: proof, Config: config, Packages: b.packages, Data: b.data, Table: table.ID().String(), Keys: keys.id}}
	if f.asc != nil && !e.cfg.Filter.active() { // else the tree has none
		p.State.Asc, p.State.AscETag, p.State.AscModified = sha256Of(f.asc), f.ascRes.ETag, f.ascRes.LastModified
	}
	if f.src.listed {
		p.State.Servers = f.src.upstreams
	}
	return p, nil
}

// signedAnew looks for a new signature of the repomd.xml that is mirrored: keys
// expire and are replaced while a repository stands still. It returns nil where
// there is none; one that is away says nothing new.
func (e *Engine) signedAnew(ctx context.Context, t *tree.Tree, r repo, old repoState) (*fetched, error) {
	if old.Asc == "" {
		return nil, nil
	}
	src := source{upstreams: e.cfg.Upstreams}
	if len(old.Servers) > 0 {
		src = r.source(old.Servers)
	}
	name := path.Join(r.dir, ascName)
	req := src.at(name)
	req.Index, req.Max, req.ETag, req.LastModified = true, maxSmall, old.AscETag, old.AscModified
	asc, res, err := e.client.GetBytes(ctx, req)
	if stop := stops(ctx, err); stop != nil || err != nil || res.NotModified || sha256Of(asc) == old.Asc {
		return nil, stop
	}
	digest, err := manifest.ParseDigest(old.Digest)
	if err != nil {
		return nil, err
	}
	repomd, err := readIndex(t, digest)
	if err != nil {
		return nil, err
	}
	return &fetched{src: src, repomd: repomd, asc: asc, ascRes: res, res: fetch.Result{ETag: old.ETag, LastModified: old.LastModified}}, nil
}

// readIndex returns a small file that the state keeps.
func readIndex(t *tree.Tree, digest manifest.Digest) ([]byte, error) {
	f, err := t.OpenIndex(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, rpmrepo.MaxRepomd))
}

// proof fetches what is signed beside repomd.xml and checks it as the spec
// asks. It returns what proves the repository.
func (e *Engine) proof(ctx context.Context, r repo, f *fetched, keys *rpmrepo.Keyring, old repoState) (string, error) {
	var err error
	if f.asc == nil {
		if f.asc, f.ascRes, err = e.optional(ctx, f.src, path.Join(r.dir, ascName)); err != nil {
			return "", err
		}
	}
	proof := e.cfg.Proof
	if proof == "" {
		proof = ByPackages
		if (f.asc != nil || old.Proof == ByRepomd) && !e.cfg.Filter.active() {
			proof = ByRepomd
		}
	}
	if proof == ByPackages || proof == ByNothing {
		return proof, nil
	}
	name := path.Join(r.dir, ascName)
	if f.asc == nil {
		advice := `upstream does not sign its repomd.xml; proof = "packages" checks the packages instead`
		if old.Proof == ByRepomd || old.Proof == ByBoth {
			advice = "upstream had one before: is something else answering in its place? The repository keeps its generation"
		}
		return "", &dataError{name, &fault.Error{Kind: fault.Unproved, Op: "yum: verify", Subject: name, Err: errors.New("repomd.xml has no signature"), Advice: advice}}
	}
	if _, err := rpmrepo.ProveRepomd(keys, f.repomd, f.asc); err != nil {
		return "", &dataError{name, err}
	}
	return proof, nil
}

// maxSmall bounds the files beside repomd.xml, in bytes.
const maxSmall = 1 << 20

// optional fetches a small file that upstream need not have; nil if it has none.
func (e *Engine) optional(ctx context.Context, src source, p string) ([]byte, fetch.Result, error) {
	req := src.at(p)
	req.Index, req.Max = true, maxSmall
	data, res, err := e.client.GetBytes(ctx, req)
	if absent(err) {
		return nil, res, nil
	}
	if err == nil && data == nil {
		data = []byte{}
	}
	return data, res, err
}

// absent reports whether upstream seems to lack a file that it need not have.
// Object stores answer 403 instead of 404 to those who may not list them.
func absent(err error) bool { return errors.Is(err, fault.Gone) || errors.Is(err, fault.Denied) }

// keepContent downloads what req asks for into the state.
func (e *Engine) keepContent(ctx context.Context, t *tree.Tree, req fetch.Request) (manifest.Entry, error) {
	var out manifest.Entry
	sink, err := t.Create()
	if err != nil {
		return out, err
	}
	res, err := e.client.Get(ctx, req, sink)
	if err != nil {
		if discard := sink.Discard(); discard != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w (and %v)", err, discard)
		}
		return out, err
	}
	if out.Digest, err = manifest.ParseDigest(res.SHA256); err != nil {
		return out, err
	}
	out.Size = res.Size
	return out, t.PutIndexFile(sink, out.Digest)
}

// proving sets the digest that a request must have.
func proving(req fetch.Request, c rpmrepo.Checksum) fetch.Request {
	switch c.Type {
	case "sha256":
		req.SHA256 = c.Hex
	case "sha512":
		req.SHA512 = c.Hex
	default:
		req.Checksum = c.String()
	}
	return req
}
