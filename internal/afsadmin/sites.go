package afsadmin

import (
	"context"
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/vos"
)

// Retire takes a region's site out of the database's entry of each volume. The
// copy stays on its server, so that clients which learned of the site before
// still find all that their indexes name; the ledger counts it until their wait
// is over. The last site of a volume is refused with fault.Config.
func (c Cell) Retire(ctx context.Context, region string, want []Volume) (done []string, err error) {
	return c.each(ctx, region, want, func(v Volume, s vos.Site, e vos.Entry) error {
		if left, served := others(e, s); left == 0 {
			return &fault.Error{Kind: fault.Config, Op: "afsadmin: retire site", Subject: v.Name, Err: errors.New("it is the volume's only read-only site"),
				Advice: "give the volume another site first, or stop mirroring"}
		} else if served == 0 && s.State != vos.NotReleased {
			return &fault.Error{Kind: fault.Config, Op: "afsadmin: retire site", Subject: v.Name, Err: errors.New("nothing was released to its other sites yet"),
				Advice: "run a cycle first"}
		}
		_, said := c.Change(ctx, "remsite", "-server", s.Server.String(), "-partition", s.Partition, "-id", v.Name)
		return c.gone(ctx, v, s, said)
	})
}

// Rebuild removes a region's copy of each volume and adds the site anew, empty:
// the next release fills it. remsite would leave the copy, and a release would
// only bring it the difference. Of a server that does not answer the copy
// cannot be removed; then the error is fault.Unavailable and the site stays.
func (c Cell) Rebuild(ctx context.Context, region string, want []Volume) (done []string, err error) {
	return c.each(ctx, region, want, func(v Volume, s vos.Site, e vos.Entry) error {
		if e.Locked {
			return &fault.Error{Kind: fault.Conflict, Op: "afsadmin: rebuild site", Subject: v.Name, Err: errors.New("the volume's entry is locked"),
				Advice: "wait for the release that is under way"}
		}
		_, said := c.Change(ctx, "remove", "-server", s.Server.String(), "-partition", s.Partition, "-id", v.Name+".readonly")
		if err := c.gone(ctx, v, s, said); err != nil {
			return err
		}
		_, said = c.Change(ctx, "addsite", "-server", s.Server.String(), "-partition", s.Partition, "-id", v.Name)
		e2, err := c.Entry(ctx, v.Name)
		if err == nil && (e2 == nil || !has(*e2, s)) {
			err = errors.New("the database has no site there")
		}
		if err != nil {
			return fmt.Errorf("afsadmin: add site %s-%s to %s again (starter setup --volumes does it too): %w", s.Server, s.Partition, v.Name, errors.Join(said, err))
		}
		return nil
	})
}

// each calls f for the site of a region in every volume that has one.
func (c Cell) each(ctx context.Context, region string, want []Volume, f func(Volume, vos.Site, vos.Entry) error) (done []string, err error) {
	for _, v := range want {
		for _, w := range v.Sites {
			if w.Region != region {
				continue
			}
			addrs, err := Addresses(ctx, w.Server)
			if err != nil {
				return done, err
			}
			e, err := c.Entry(ctx, v.Name)
			if err != nil {
				return done, err
			}
			if e == nil {
				continue
			}
			s, there := at(*e, addrs, w.Partition)
			if !there {
				continue
			}
			if err := f(v, s, *e); err != nil {
				return done, err
			}
			done = append(done, v.Name)
		}
	}
	return done, nil
}

func (c Cell) gone(ctx context.Context, v Volume, s vos.Site, said error) error {
	e, err := c.Entry(ctx, v.Name)
	if err == nil && e != nil && has(*e, s) {
		err = errors.New("the database still has the site")
	}
	if err != nil {
		return fmt.Errorf("afsadmin: remove site %s-%s of %s: %w", s.Server, s.Partition, v.Name, errors.Join(said, err))
	}
	return nil
}

func has(e vos.Entry, want vos.Site) bool {
	for _, s := range e.Sites {
		if s.ReadOnly && s.Server == want.Server && s.Partition == want.Partition {
			return true
		}
	}
	return false
}

// others counts the read-only sites but one, and those of them that clients read.
func others(e vos.Entry, but vos.Site) (all, served int) {
	for _, s := range e.Sites {
		if !s.ReadOnly || s == but {
			continue
		}
		all++
		if s.State != vos.NotReleased {
			served++
		}
	}
	return all, served
}
