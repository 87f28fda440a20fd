package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

func open(spec *mirrorspec.Spec, m mirrorspec.Mirror) (*tree.Tree, error) {
	t, err := tree.Read(mirror.Tree(spec.Storage, m))
	if err == nil && t.ID().Mirror != m.Name {
		err = errors.Join(&fault.Error{Kind: fault.WrongStorage, Op: "tree: identify", Subject: spec.TreeDir(m.Name),
			Err: fmt.Errorf("it is the tree of mirror %s", t.ID().Mirror), Advice: "check which disks are mounted where"}, t.Close())
	}
	return t, err
}

// Tree checks that a mirror's tree has its identity, and that this process may write it.
func Tree(spec *mirrorspec.Spec, m mirrorspec.Mirror) Finding {
	where := spec.TreeDir(m.Name)
	t, err := open(spec, m)
	if err != nil {
		return finding("tree", m.Name, err, "")
	}
	defer t.Close()
	return finding("tree", m.Name, writable(filepath.Join(where, ".mirror"), afsadmin.InAFS(where)), where+" is "+t.ID().Tree+" and writable")
}

// State checks that the mirror's state can be written.
func State(spec *mirrorspec.Spec, m mirrorspec.Mirror) Finding {
	where := spec.StateDir(m.Name)
	return finding("state", m.Name, writable(where, afsadmin.InAFS(where)), where+" is writable")
}

// writable makes, reads back and removes a file: a client of AFS may take what its server refuses.
func writable(where string, inAFS bool) error {
	name := filepath.Join(where, "doctor."+rand.Text())
	text := []byte("a file of starter doctor; it may be removed\n")
	err := os.WriteFile(name, text, 0o600)
	if err == nil {
		var got []byte
		if got, err = os.ReadFile(name); err == nil && !bytes.Equal(got, text) {
			err = errors.New("a file that was written there reads back otherwise")
		}
		err = errors.Join(err, os.Remove(name))
	}
	if err == nil {
		return nil
	}
	e := &fault.Error{Kind: fault.Denied, Op: "doctor: write in", Subject: where, Err: err, Advice: "run this as the worker's user; give that the right to write"}
	switch {
	case errors.Is(err, os.ErrNotExist):
		e.Kind, e.Advice = fault.WrongStorage, "mount the storage, or run starter setup for a new one"
	case inAFS:
		e.Advice = "run this as the worker runs, under k5start with the write principal; then fs listacl, and see the quota"
	}
	return e
}

// Room checks that what storage.min-free wants is free: on AFS by the volume's quota and its partition.
func Room(ctx context.Context, spec *mirrorspec.Spec, m mirrorspec.Mirror) Finding {
	t, err := open(spec, m)
	if err != nil {
		return Finding{"room", m.Name, Unknown, "the tree is not there", ""}
	}
	defer t.Close()
	var free int64
	if regions := spec.RegionsOf(m.Name); spec.AFS != nil && release.HasSites(regions) {
		free, err = release.Sites(release.Volume{AFS: *spec.AFS, State: spec.StateDir(m.Name), Mirror: m, Tree: t.ID().Tree}).Room(ctx)
	} else {
		free, err = t.Free()
	}
	if err == nil && free < int64(spec.Storage.MinFree) {
		err = &fault.Error{Kind: fault.NoSpace, Op: "doctor: look at", Subject: spec.TreeDir(m.Name),
			Err: fmt.Errorf("%d MB are free, storage.min-free is %d MB", free>>20, int64(spec.Storage.MinFree)>>20), Advice: "free space, raise the quota, or lower storage.min-free"}
	}
	return finding("room", m.Name, err, fmt.Sprintf("%d MB are free", free>>20))
}

// Region checks that a directory region has its identity, serves only what
// belongs to the trees of this host, and can be written.
func Region(ctx context.Context, spec *mirrorspec.Spec, r mirrorspec.Region) Finding {
	if _, err := os.Stat(r.Dir); r.Pull && errors.Is(err, os.ErrNotExist) {
		return Finding{"region", r.Name, Unknown, r.Dir + " is not on this host", ""}
	}
	for _, m := range spec.Mirrors {
		if !m.GoesTo(r.Name) {
			continue
		}
		var id string
		if s, err := dir.Served(r.Dir, m.Name); err == nil {
			id = s.Tree
		}
		if t, err := open(spec, m); err == nil {
			id = t.ID().Tree
			t.Close()
		}
		if _, err := dir.New(dir.Options{Dir: r.Dir, Region: r.Name, Mirror: m.Name, Tree: id}).Serving(ctx); err != nil {
			return finding("region", r.Name, err, "")
		}
	}
	return finding("region", r.Name, writable(filepath.Join(r.Dir, ".mirrorcycle"), false), r.Dir+" has its identity and is writable")
}

// Site checks that the directory of a region's status page has its identity and can be written.
func Site(r mirrorspec.Region) Finding {
	if _, err := os.Stat(r.Site); r.Pull && errors.Is(err, os.ErrNotExist) {
		return Finding{"site", r.Name, Unknown, r.Site + " is not on this host", ""}
	}
	err := site.Identify(r.Site, r.Name)
	if err == nil {
		err = writable(r.Site, afsadmin.InAFS(r.Site))
	}
	return finding("site", r.Name, err, r.Site+" has its identity and is writable")
}

// Files checks that the keys and credentials that a mirror names can be read.
func Files(m mirrorspec.Mirror) []Finding {
	var all []Finding
	if m.Keyring != "" {
		all = append(all, keyring(m))
	}
	for _, c := range []struct{ what, name string }{{"netrc", m.Netrc}, {"client certificate", m.ClientCert}, {"client key", m.ClientKey}, {"CA file", m.CAFile}} {
		if c.name == "" {
			continue
		}
		f, err := os.Open(c.name)
		if err == nil {
			f.Close()
		} else {
			err = &fault.Error{Kind: fault.Config, Op: "doctor: read", Subject: c.name, Err: err, Advice: "check its path and its owner"}
		}
		all = append(all, finding(c.what, m.Name, err, c.name+" can be read"))
	}
	return all
}

func keyring(m mirrorspec.Mirror) Finding {
	f, err := os.Open(m.Keyring)
	if err != nil {
		return finding("keyring", m.Name, &fault.Error{Kind: fault.Config, Op: "doctor: read", Subject: m.Keyring, Err: err, Advice: "install the archive's keyring package, or check the path"}, "")
	}
	defer f.Close()
	keys, err := debrepo.ReadKeyring(f)
	if err != nil {
		return finding("keyring", m.Name, err, "")
	}
	return finding("keyring", m.Name, nil, fmt.Sprintf("%s has %d keys", m.Keyring, len(keys.Fingerprints())))
}
