package yum

import (
	"context"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/tree"
)

// repo is one repository: where it lies in the tree, and who has it.
type repo struct {
	dir  string // relative to the tree; "." for its root
	list string // URL of its metalink or list of servers, "" if upstream's root is known
}

// Repos lists the directories of the repositories that cfg asks for.
func (c Config) repos() []repo {
	var out []repo
	for _, pattern := range c.Repos {
		for _, release := range orNone(c.Releases) {
			for _, arch := range orNone(c.Architectures) {
				r := repo{dir: path.Clean(Expand(pattern, release, arch)), list: Expand(c.Metalink+c.MirrorList, release, arch)}
				if !slices.ContainsFunc(out, func(o repo) bool { return o.dir == r.dir }) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

func orNone(all []string) []string {
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// Expand replaces dnf's variables in a path or URL, with or without braces.
func Expand(pattern, release, arch string) string {
	return strings.NewReplacer("$releasever", release, "${releasever}", release, "$basearch", arch, "${basearch}", arch,
		"$arch", arch, "${arch}", arch).Replace(pattern)
}

// source says who has a repository's files, and how paths of the tree are called there.
type source struct {
	upstreams []string
	strip     string // taken off a path of the tree
	listed    bool
}

// maxServers is how many servers of a list are asked for one file.
const maxServers = 3

// at returns the request for a file of the tree.
func (s source) at(p string) fetch.Request {
	return fetch.Request{Upstreams: s.upstreams, Path: strings.TrimPrefix(p, s.strip)}
}

// has reports whether the source knows where p is: servers of a list have one repository's directory.
func (s source) has(p string) bool { return !s.listed || strings.HasPrefix(p, s.strip) }

func (r repo) source(servers []string) source {
	s := source{upstreams: servers, listed: true}
	if r.dir != "." {
		s.strip = r.dir + "/"
	}
	return s
}

const maxList = 4 << 20

// servers asks who has a repository. good, if not nil, tells the right repomd.xml.
func (e *Engine) servers(ctx context.Context, r repo) (s source, good func([]byte) bool, err error) {
	if r.list == "" {
		return source{upstreams: e.cfg.Upstreams}, nil, nil
	}
	data, _, err := e.client.GetBytes(ctx, fetch.Request{Path: r.list, Index: true, Max: maxList})
	if err != nil {
		return s, nil, err
	}
	if rpmrepo.IsMetalink(data) {
		m, err := rpmrepo.ParseMetalink(data)
		if err != nil {
			return s, nil, about(err, r.list)
		}
		return r.source(m.Bases), m.Names, nil
	}
	bases, err := rpmrepo.ParseMirrorList(data)
	if err != nil {
		return s, nil, about(err, r.list)
	}
	return r.source(bases), nil, nil
}

// about names the URL in an error of a format.
func about(err error, url string) error {
	return &fault.Error{Kind: fault.KindOf(err), Op: "yum: read", Subject: url, Err: err, Advice: "nothing of it was published; check the URL"}
}

// pointer fetches the repomd.xml of a repository. Of a list of servers the
// first that has a right one is taken, and stands first from then on: its other
// files belong to it. It returns nil if old is still the newest.
func (e *Engine) pointer(ctx context.Context, r repo, old repoState, again bool) (*fetched, error) {
	src, good, err := e.servers(ctx, r)
	if err != nil {
		return nil, err
	}
	name := path.Join(r.dir, repomdName)
	if !src.listed {
		req := src.at(name)
		req.Index, req.Max = true, rpmrepo.MaxRepomd
		if !again {
			req.ETag, req.LastModified = old.ETag, old.LastModified
		}
		data, res, err := e.client.GetBytes(ctx, req)
		if err != nil || res.NotModified {
			return nil, err
		}
		return &fetched{src: src, repomd: data, res: res}, nil
	}
	var last error
	for i, server := range src.upstreams {
		req := source{upstreams: []string{server}, strip: src.strip}.at(name)
		req.Index, req.Max = true, rpmrepo.MaxRepomd
		data, res, err := e.client.GetBytes(ctx, req)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && good != nil && !good(data) {
			err = &fault.Error{Kind: fault.Stale, Op: "yum: read", Subject: res.URL,
				Err: errNotListed, Advice: "other servers of the metalink are asked"}
		}
		if err != nil {
			last = worse(last, err)
			continue
		}
		src.upstreams = append([]string{server}, slices.Delete(slices.Clone(src.upstreams), i, i+1)...)
		src.upstreams = src.upstreams[:min(len(src.upstreams), maxServers)]
		return &fetched{src: src, repomd: data}, nil
	}
	return nil, last
}

// worse keeps the first failure, unless a later one proves something wrong.
func worse(a, b error) error {
	if a == nil || fault.KindOf(b) == fault.Stale && fault.KindOf(a) != fault.Stale {
		return b
	}
	return a
}

// Source returns where upstream has a file of the tree.
func (e *Engine) Source(_ context.Context, t *tree.Tree, entry manifest.Entry) (fetch.Request, bool, error) {
	if e.cfg.Metalink+e.cfg.MirrorList == "" {
		return fetch.Request{Upstreams: e.cfg.Upstreams, Path: entry.Path}, true, nil
	}
	g, err := t.Committed()
	if err != nil {
		return fetch.Request{}, false, err
	}
	s, err := readState(g)
	if err != nil {
		return fetch.Request{}, false, err
	}
	best, found := source{}, false
	for dir, r := range s.Repos { // the innermost directory that holds it
		src := repo{dir: dir}.source(r.Servers)
		if src.has(entry.Path) && (!found || len(src.strip) > len(best.strip)) {
			best, found = src, true
		}
	}
	return best.at(entry.Path), found && len(best.upstreams) > 0, nil
}

// fetched is a repomd.xml with what came with it.
type fetched struct {
	src              source
	repomd, asc, key []byte
	res, ascRes      fetch.Result
}
