// Package release chooses how a mirror is published to a region, where the generation comes from, and asks what is served.
//
// A region that shares the storage's file system takes a generation from the
// tree itself. One on a host of its own pulls the sealed generation, its
// manifest and the contents of its indexes from the origin's web server
// (OriginHandler) and proves every byte by the manifest's digests.
package release

import (
	"errors"
	"fmt"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/mirrorspec"
)

// Options say which mirror is released to which region.
type Options struct {
	Region mirrorspec.Region
	Mirror string
	Tree   string // ID of the tree that the region must serve
	Policy backend.Policy
	// Referring are the mirrors whose indexes may name objects of this one.
	Referring []string
	Holder    string       // who writes, for the lease
	Crash     func(string) // called at every write boundary; tests stop there
}

// For returns the backend of a mirror in a directory region. The error is
// fault.Config for any other; see Sites.
func For(o Options) (backend.Backend, error) {
	switch {
	case o.Region.AFS != nil:
		return nil, &fault.Error{Kind: fault.Config, Op: "release: open region", Subject: o.Region.Name,
			Err: errors.New("it is one of the sites of a volume, which are released to together"), Advice: "report this as a bug"}
	case o.Region.Dir == "":
		return nil, &fault.Error{Kind: fault.Config, Op: "release: open region", Subject: o.Region.Name,
			Err: errors.New("it has no directory"), Advice: "give the region a dir"}
	}
	return dir.New(dir.Options{Dir: o.Region.Dir, Region: o.Region.Name, Mirror: o.Mirror, Tree: o.Tree, Referring: o.Referring,
		Policy: o.Policy, Holder: o.Holder, Crash: o.Crash}), nil
}

// Newest returns the highest number of the tree's generations that a region
// shows in a directory of this host, 0 if none does, and the number above which
// the next generation has to be: that of what was moved aside counts as well,
// although it may be another tree's. Regions elsewhere, not mounted, or on AFS
// (see NewestAtSites) are passed over, and those that cannot be read: one of them
// stops no tree, and its release tells what is wrong there. A generation of another tree is fault.WrongStorage.
func Newest(treeID, mirror string, regions []mirrorspec.Region) (top, above int64, err error) {
	for _, r := range regions {
		if r.Dir == "" || r.Pull {
			continue
		}
		above = max(above, dir.Aside(r.Dir, mirror))
		s, err := dir.Served(r.Dir, mirror)
		if err != nil {
			continue
		}
		if s.Tree != treeID {
			return 0, 0, &fault.Error{Kind: fault.WrongStorage, Op: "release: look at region", Subject: r.Name,
				Err:    fmt.Errorf("it serves tree %s, this is tree %s", s.Tree, treeID),
				Advice: "mount the tree that belongs to the region; if that is lost: starter region rebuild " + r.Name + " --yes"}
		}
		top = max(top, s.Number)
	}
	return top, max(above, top), nil
}
