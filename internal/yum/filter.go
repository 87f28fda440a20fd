package yum

import (
	"cmp"
	"context"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/rpmrepo"
)

// Filter says which packages of a repository are mirrored. The zero value
// takes all, byte for byte; any other has new metadata written, which upstream
// has not signed.
type Filter struct {
	Packages       []string // names and globs (path.Match); none is all
	Exclude        []string // the same, of what is left out
	KeepLatest     int      // versions of each name and architecture; 0 keeps all
	LeaveSources   bool     // leaves .src.rpm out
	LeaveDebuginfo bool     // leaves debuginfo and debugsource packages out
}

func (f Filter) active() bool {
	return len(f.Packages)+len(f.Exclude)+f.KeepLatest > 0 || f.LeaveSources || f.LeaveDebuginfo
}

// takes reports whether a package is wanted, whatever its version.
func (f Filter) takes(p rpmrepo.Package) bool {
	switch {
	case f.LeaveSources && (p.Arch == "src" || p.Arch == "nosrc"):
		return false
	case f.LeaveDebuginfo && (strings.Contains(p.Name+"-", "-debuginfo-") || strings.HasSuffix(p.Name, "-debugsource")):
		return false
	case len(f.Packages) > 0 && !matches(f.Packages, p.Name):
		return false
	}
	return !matches(f.Exclude, p.Name)
}

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, err := path.Match(g, name) // the spec has checked it
		return ok && err == nil
	})
}

// choose returns which of the packages are mirrored. What a module names stays,
// however old: the stream that needs it has no other.
func (f Filter) choose(all []rpmrepo.Package, modules map[string]bool) []bool {
	keep := make([]bool, len(all))
	byName := map[string][]int{}
	for i, p := range all {
		keep[i] = f.takes(p)
		if keep[i] && f.KeepLatest > 0 {
			key := p.Name + "\x00" + p.Arch
			byName[key] = append(byName[key], i)
		}
	}
	for _, same := range byName {
		slices.SortStableFunc(same, func(i, j int) int { return rpmrepo.CompareEVR(all[j], all[i]) })
		versions := 0
		for n, i := range same {
			if n == 0 || rpmrepo.CompareEVR(all[i], all[same[n-1]]) != 0 { // one rpm may lie under two paths
				versions++
			}
			keep[i] = versions <= f.KeepLatest || modules[nevra(all[i])]
		}
	}
	return keep
}

// nevra names a package as modules do.
func nevra(p rpmrepo.Package) string {
	return p.Name + "-" + cmp.Or(p.Epoch, "0") + ":" + p.Version + "-" + p.Release + "." + p.Arch
}

// named finds every name-epoch:version-release.arch in modules.yaml. A text in a
// description that looks like one keeps a package more.
var namedByModules = regexp.MustCompile(`[A-Za-z0-9_][\w.+-]*-[0-9]+:[\w.+~^-]+\.\w+`)

// maxModules bounds an unpacked modules.yaml, in bytes; the largest known has 5 MB.
const maxModules = 256 << 20

// modules lists what the modules of a repository name.
func (b *builder) modules(md *rpmrepo.Repomd, kept []manifest.Entry) (map[string]bool, error) {
	out := map[string]bool{}
	for i, d := range md.Data {
		if d.Type != "modules" || kept[i].Path == "" {
			continue
		}
		text, err := b.unpacked(kept[i], maxModules)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(text)
		if err := cmp.Or(err, text.Close()); err != nil {
			return nil, about(err, kept[i].Path)
		}
		for _, name := range namedByModules.FindAllString(string(data), -1) {
			out[name] = true
		}
	}
	return out, nil
}

func (b *builder) unpacked(e manifest.Entry, limit int64) (io.ReadCloser, error) {
	in, err := b.t.OpenIndex(e.Digest)
	if err != nil {
		return nil, err
	}
	plain, err := debrepo.Decompress(e.Path, in, limit)
	if err != nil {
		in.Close()
		return nil, about(err, e.Path)
	}
	return both{plain, in}, nil
}

// both closes what is read and what that reads.
type both struct {
	io.ReadCloser
	under io.Closer
}

func (b both) Close() error {
	err := b.ReadCloser.Close()
	return cmp.Or(err, b.under.Close())
}

// isRewritten reports whether a filtered repository has data of a type anew.
func isRewritten(kind string) bool {
	return kind == "primary" || kind == "filelists" || kind == "other"
}

// isDropped reports whether a filtered repository does without data of a type:
// other forms of what is written anew, and deltas of packages it may not have.
func isDropped(kind string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(kind, "_db"), "_zck")
	return base != kind && isRewritten(base) || strings.HasPrefix(kind, "filelists-ext") || strings.HasPrefix(kind, "filelists_ext") ||
		kind == "prestodelta" || kind == "deltainfo"
}

// filtered keeps the metadata of a repository of which only some packages are
// mirrored, and lists those.
func (b *builder) filtered(ctx context.Context, text []byte, md *rpmrepo.Repomd) error {
	wanted := &rpmrepo.Repomd{Revision: md.Revision}
	for _, d := range md.Data {
		if !isDropped(d.Type) {
			wanted.Data = append(wanted.Data, d)
		}
	}
	kept, err := b.keepData(ctx, wanted, isRewritten)
	if err != nil {
		return err
	}
	modules, err := b.modules(wanted, kept)
	if err != nil {
		return err
	}
	packages, err := b.primary(ctx, wanted, kept)
	if err != nil {
		return err
	}
	keep := b.e.cfg.Filter.choose(packages, modules)
	w := rewriter{b: b, keep: keep}
	for i, p := range packages {
		if keep[i] {
			w.order = append(w.order, p.Checksum.Hex)
			if err := b.object(p); err != nil {
				return err
			}
		}
	}
	b.packages = int64(len(w.order)) - b.external
	for i, d := range wanted.Data {
		if isRewritten(d.Type) {
			if err := w.rewrite(d, kept[i]); err != nil {
				return err
			}
		}
	}
	return w.pointer(text)
}

// primary reads all packages of a repository.
func (b *builder) primary(ctx context.Context, md *rpmrepo.Repomd, kept []manifest.Entry) (out []rpmrepo.Package, err error) {
	i, err := b.onePrimary(md, kept)
	if err != nil {
		return nil, err
	}
	err = b.read(kept[i], rpmrepo.ReadPrimary, func(p rpmrepo.Package) error {
		out = append(out, p)
		return ctx.Err()
	})
	return out, err
}
