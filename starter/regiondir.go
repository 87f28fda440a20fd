package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// regionDir is a mirror's part of a directory region; package dir says what is where.
type regionDir struct{ dir, mirror string }

const (
	regionPrivate = ".mirrorcycle"
	regionRetired = "id.retired"
)

func (d regionDir) records() string { return filepath.Join(d.dir, regionPrivate, d.mirror) }

// parts are the names that a mirror has in a region, in the order in which they are moved aside: what clients see first.
func (d regionDir) parts() map[string]string {
	return map[string]string{"link": filepath.Join(d.dir, d.mirror), "releases": filepath.Join(d.dir, ".releases", d.mirror), "records": d.records()}
}

// shown looks for the highest number in everything that is there: what is
// damaged in one place may be whole in another.
func (d regionDir) shown() shown {
	var h shown
	if s, err := dir.Served(d.dir, d.mirror); err == nil {
		h.served, h.number = &s, s.Number
	}
	texts, _ := journal.Read(filepath.Join(d.records(), "log"))
	for _, text := range texts {
		if r, err := ledger.ParseRecord(text); err == nil {
			h.number = max(h.number, r.Gen)
		}
	}
	for _, kind := range []string{"views", "gens"} {
		all, _ := tree.Numbered(filepath.Join(d.records(), kind), "")
		for _, n := range all {
			h.number = max(h.number, n)
		}
	}
	return h
}

func (d regionDir) empty() bool {
	for _, name := range d.parts() {
		if _, err := os.Lstat(name); err == nil {
			return false
		}
	}
	return true
}

// moveAside renames what a mirror has in a region out of the way; whoever still
// writes there finds its stage gone, and is fenced. A repetition goes on where
// an earlier one was cut off.
func (d regionDir) moveAside(now time.Time) (string, error) {
	to := filepath.Join(d.dir, regionPrivate, "aside", d.mirror+"-"+now.UTC().Format("20060102T150405.000"))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	for _, part := range []string{"link", "releases", "records"} {
		err := os.Rename(d.parts()[part], filepath.Join(to, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("region: move aside: %w", err)
		}
	}
	return to, nil
}

func rebuildDir(ctx context.Context, w io.Writer, spec *mirrorspec.Spec, m mirrorspec.Mirror, o rebuilding) error {
	d := regionDir{o.region.Dir, m.Name}
	h := d.shown()
	h.number = max(h.number, o.above)
	whole, ahead, err := compare(ctx, spec, m, o.region, h)
	switch {
	case err != nil:
		return err
	case ahead && o.region.Pull:
		return &fault.Error{Kind: fault.Stale, Op: "region: rebuild", Subject: o.region.Dir, Err: fmt.Errorf("it served generation %d of mirror %s, and the origin is not above that", h.number, m.Name),
			Advice: fmt.Sprintf("on the storage's host: starter region rebuild %s --mirror %s --above %d --yes; then a cycle, and this again unless the region is right by then", o.region.Name, m.Name, h.number)}
	case ahead:
		if err := raise(ctx, w, spec, m, h, o); err != nil || (whole && !o.aside) {
			return err
		}
	}
	if d.empty() {
		if err := dir.Setup(o.region.Dir, o.region.Name); err != nil {
			return err
		}
		fmt.Fprintf(w, "mirror %s: region %s has nothing of it; the next cycle fills it\n", m.Name, o.region.Name)
		return nil
	}
	if !o.yes {
		return confirm(fmt.Sprintf("mirror %s: the content of region %s would be moved aside, and clients would get 404 until the next release", m.Name, o.region.Name))
	}
	if err := dir.Setup(o.region.Dir, o.region.Name); err != nil {
		return err // it is another region's
	}
	if err := os.Remove(filepath.Join(o.region.Dir, regionPrivate, regionRetired)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := d.moveAside(time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "mirror %s: the old content is in %s: delete it when you need it no more\nnow: starter run --only %s\n", m.Name, to, m.Name)
	return nil
}

// compare tells whether the region's copy could be followed by another release
// as it is, and whether what it served is above what the tree offers.
func compare(ctx context.Context, spec *mirrorspec.Spec, m mirrorspec.Mirror, r mirrorspec.Region, h shown) (whole, ahead bool, err error) {
	src, done, err := release.From(release.Origin{Region: r, Storage: spec.Storage, Mirror: m.Name})
	if err != nil {
		return false, false, err
	}
	defer done()
	g, err := src.Sealed(ctx)
	if err != nil {
		return false, false, err
	}
	if !r.Pull { // what counts there is what was committed
		t, err := tree.Read(tree.Config{Dir: spec.TreeDir(m.Name), State: spec.StateDir(m.Name)})
		if err != nil {
			return false, false, err
		}
		defer t.Close()
		if g, err = t.Committed(); err != nil {
			return false, false, err
		}
	}
	if g == nil {
		return false, h.number > 0, nil
	}
	_, broken := dir.New(dir.Options{Dir: r.Dir, Region: r.Name, Mirror: m.Name, Tree: g.Tree}).Serving(ctx)
	return broken == nil && h.served != nil, h.number > 0 && h.ahead(g), nil
}

// retireDir takes a directory region's identity, so that nothing writes or
// deletes there any more, and notes in its ledgers that it is retired.
func retireDir(w io.Writer, spec *mirrorspec.Spec, r mirrorspec.Region) error {
	id := filepath.Join(r.Dir, regionPrivate, "id")
	data, err := os.ReadFile(id)
	var have struct{ Region string }
	if err == nil {
		err = json.Unmarshal(data, &have)
	}
	if _, gone := os.Lstat(filepath.Join(filepath.Dir(id), regionRetired)); errors.Is(err, fs.ErrNotExist) && gone == nil {
		fmt.Fprintf(w, "region %s is retired already\n", r.Name)
		return nil
	}
	if err != nil || have.Region != r.Name {
		return &fault.Error{Kind: fault.WrongStorage, Op: "region: retire", Subject: r.Dir, Err: errors.Join(err, fmt.Errorf("it is not the directory of region %s", r.Name)),
			Advice: "run this on the region's host, with the region mounted"}
	}
	if err := os.Rename(id, filepath.Join(filepath.Dir(id), regionRetired)); err != nil {
		return fmt.Errorf("region: retire: %w", err)
	}
	// A run that began before may still write its own record over this one: then
	// the ledger says less than it could, which hurries nothing.
	for _, m := range spec.Mirrors {
		name := filepath.Join(regionDir{r.Dir, m.Name}.records(), "log")
		texts, err := journal.Read(name)
		if err != nil || len(texts) == 0 {
			continue // never released to, or not readable any more
		}
		last, err := ledger.ParseRecord(texts[len(texts)-1])
		if err == nil {
			err = journal.Append(name, ledger.Record{Time: time.Now(), Event: ledger.Retired, Gen: last.Gen}.String())
		}
		if err != nil {
			return fmt.Errorf("region: note that %s is retired: %w", r.Name, err)
		}
	}
	fmt.Fprintf(w, "region %s is retired: take it out of the spec; its files stay in %s until you delete them\n", r.Name, r.Dir)
	return nil
}
