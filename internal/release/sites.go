package release

import (
	"context"
	"errors"
	"slices"
	"time"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release/afs"
	"mirrorcycle/mirrorspec"
)

// Volume says which mirror is released through which AFS volume.
type Volume struct {
	AFS     mirrorspec.AFS
	Regions []mirrorspec.Region // of the mirror; those that are no sites are passed over
	State   string              // the mirror's state directory
	Mirror  mirrorspec.Mirror
	Tree    string // ID of the tree that the sites must hold
	Every   time.Duration
	Holder  string
	Crash   func(string)
	// Unchecked: this host's clock was not found to agree with another (see afs.Options).
	Unchecked bool
}

// Sites returns the backend of a mirror's AFS volume. All its sites are one
// group: a release chooses none of them.
func Sites(o Volume) *afs.Backend {
	a := o.AFS
	opts := afs.Options{
		Cell:   afs.Cell{Name: a.Cell, Localauth: a.Auth == mirrorspec.AuthLocalauth, Principal: a.ReleasePrincipal, Keytab: a.ReleaseKeytab},
		Volume: a.Volume(o.Mirror.Name), Mirror: o.Mirror.Name, Tree: o.Tree, State: o.State,
		Purge: time.Duration(a.PurgeWithin), Remove: time.Duration(a.RemoveSiteAfter), Holder: o.Holder, Crash: o.Crash, Unchecked: o.Unchecked,
	}
	for _, dir := range o.Mirror.Volumes {
		opts.Parts = append(opts.Parts, a.PartVolume(o.Mirror.Name, dir))
	}
	var maxAge mirrorspec.Duration
	for _, r := range o.Regions {
		if r.AFS != nil {
			opts.Regions = append(opts.Regions, afs.Region{Name: r.Name, Server: r.AFS.Server, Partition: r.AFS.Partition})
			maxAge = max(maxAge, r.IndexMaxAge)
		}
	}
	opts.Policy = backend.Policy{Grace: time.Duration(o.Mirror.Grace + maxAge), Every: o.Every}
	return afs.New(opts)
}

// NewestAtSites returns the highest generation that a site of the volume holds.
// Sites that do not answer are passed over, as are all while the cell's
// database does not answer. Another tree's is fault.WrongStorage.
func NewestAtSites(ctx context.Context, b backend.Backend) (int64, error) {
	outcomes, err := b.Serving(ctx)
	if errors.Is(err, fault.Unavailable) {
		return 0, nil
	}
	var top int64
	for _, o := range outcomes {
		if o.Kind == string(fault.WrongStorage) {
			err = errors.Join(err, &fault.Error{Kind: fault.WrongStorage, Op: "release: look at region", Subject: o.Region, Err: errors.New(o.Error)})
		}
		top = max(top, o.Serves)
	}
	return top, err
}

// Lacking returns a site of a volume that has not generation need, nil if there
// is none. One that does not answer keeps nothing from the others: either it was
// there at the release of that generation, or the database leads clients away from it.
func Lacking(sites []backend.Outcome, need int64) *backend.Outcome {
	var silent *backend.Outcome
	has := false
	for i, s := range sites {
		switch {
		case s.Serves >= need:
			has = true
		case s.Silent:
			silent = &sites[i]
		default:
			return &sites[i]
		}
	}
	if has {
		return nil
	}
	return silent
}

// HasSites tells whether one of the regions is an AFS site.
func HasSites(regions []mirrorspec.Region) bool {
	return slices.ContainsFunc(regions, func(r mirrorspec.Region) bool { return r.AFS != nil })
}
