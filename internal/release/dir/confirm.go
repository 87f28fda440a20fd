package dir

import (
	"context"
	"fmt"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/ledger"
)

// Confirm implements backend.Backend. A probe that saw an older generation than
// the link leads to is recorded as what it saw: some front end lags behind. A
// newer one than the link leads to was seen elsewhere, and is refused.
func (r *Region) Confirm(_ context.Context, region string, n int64) error {
	if region != r.Region || n <= 0 {
		return &fault.Error{Kind: fault.Config, Op: "dir: confirm", Subject: r.Dir,
			Err: fmt.Errorf("generation %d of region %q in region %s", n, region, r.Region), Advice: "report this as a bug"}
	}
	needed, err := r.confirmable(n)
	if err != nil || !needed {
		return err
	}
	return r.write(func(s *session) error {
		if needed, err := s.confirmable(n); err != nil || !needed {
			return err
		}
		return s.note(ledger.Serves, n)
	})
}

// confirmable reports whether a record "serves n" would tell anything new: while
// objects wait to be reaped each look at the site counts.
func (r *Region) confirmable(n int64) (bool, error) {
	cur, err := r.current()
	if err != nil {
		return false, err
	}
	if cur == nil || cur.Number < n {
		var serves int64
		if cur != nil {
			serves = cur.Number
		}
		return false, wrong(r.link(), fmt.Sprintf("a probe saw generation %d, the directory is at %d", n, serves),
			"check that the region's URL leads to this directory")
	}
	log, err := r.log()
	if err != nil {
		return false, err
	}
	if len(log) == 0 || log[len(log)-1].Event != ledger.Serves || log[len(log)-1].Gen != n {
		return true, nil
	}
	drops, err := r.list("drops", cur.Number)
	return len(drops) > 0, err
}
