package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// Finish stores the plan under the digest of its content and returns that
// digest. A plan that changes nothing is not stored and has none.
func (w *PlanWriter) Finish() (digest string, info PlanInfo, err error) {
	defer w.Discard()
	if !w.info.Changed {
		return "", w.info, nil
	}
	if w.info.Removals, err = w.removals(); err != nil {
		return "", w.info, err
	}
	out, err := w.Create(planFile)
	if err != nil {
		return "", w.info, err
	}
	if err := writeJSON(out, w.info); err != nil {
		return "", w.info, err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(keys(w.files)) {
		sum, err := w.files[name].finish()
		if err != nil {
			return "", w.info, w.t.explain("tree: plan", name, err)
		}
		fmt.Fprintf(h, "%s %x\n", name, sum)
	}
	digest = hex.EncodeToString(h.Sum(nil))
	if err := w.t.stateDir(w.t.statePath("plan")); err != nil {
		return "", w.info, err
	}
	// Its name vouches for its content, also after a power cut.
	if err := w.t.disks.SyncOf(w.t.cfg.State); err != nil {
		return "", w.info, w.t.explain("tree: plan", digest, err)
	}
	return digest, w.info, w.t.explain("tree: plan", digest, w.store(digest))
}

// removals is the digest of what a person would approve, in whatever order it was found.
func (w *PlanWriter) removals() (string, error) {
	if w.info.Drops+int64(len(w.info.Emptied)+len(w.info.Renamed)+len(w.info.Jumps)) == 0 {
		return "", nil
	}
	var drops []string
	if out := w.files[dropsFile]; out != nil {
		if err := out.w.Flush(); err != nil {
			return "", w.t.explain("tree: plan", dropsFile, err)
		}
		data, err := os.ReadFile(out.f.Name())
		if err != nil {
			return "", w.t.explain("tree: plan", dropsFile, err)
		}
		drops = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	var jumps []string
	for _, jump := range w.info.Jumps {
		jumps = append(jumps, jumper(jump))
	}
	h := sha256.New()
	for _, part := range []struct {
		name string
		all  []string
	}{{"drops", drops}, {"emptied", slices.Clone(w.info.Emptied)}, {"renamed", slices.Clone(w.info.Renamed)}, {"jumps", jumps}} {
		slices.Sort(part.all)
		for _, one := range part.all {
			fmt.Fprintf(h, "%s %s\n", part.name, one)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// store gives the plan its name. If the same plan was made before, its results
// stand; those of one that was removed meanwhile do not.
func (w *PlanWriter) store(digest string) error {
	name := w.t.statePath("plan", digest)
	if _, err := w.t.OpenPlan(digest); errors.Is(err, fault.Gone) {
		if err := w.t.dropState("plan", digest); err != nil {
			return err
		}
	}
	err := durable.Rename(w.dir, name)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		now := time.Now()
		err = os.Chtimes(name, now, now)
	}
	return err
}

func keys[V any](m map[string]V) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (o *planOutput) finish() ([]byte, error) {
	if err := o.w.Flush(); err != nil {
		return nil, err
	}
	in, err := os.Open(o.f.Name())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h := sha256.New()
	_, err = io.Copy(h, in)
	return h.Sum(nil), errors.Join(err, o.f.Close())
}
