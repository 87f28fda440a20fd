package activities

import (
	"context"

	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// Verify doubts a generation as a stranger and, if it holds, seals it.
func (s *Sync) Verify(ctx context.Context, in VerifyInput) (Verified, error) {
	var out Verified
	err := s.with(ctx, in.Target, in.Epoch, func(ctx context.Context, t *tree.Tree, beat *pulse) error {
		g, err := t.Committed()
		if err != nil || g == nil {
			return err
		}
		sealed, err := t.Sealed()
		if err != nil {
			return err
		}
		foreign, done, err := foreigns(in.Target)
		if err != nil {
			return err
		}
		defer done()
		ctx, end := begin(ctx, "verify", in.Target.Mirror)
		defer func() { end(err) }()
		o := verify.Options{Kind: kinds[in.Target.Mirror.Kind], Keyring: in.Target.Mirror.Keyring, Proof: in.Target.Mirror.Proof, Foreign: foreign,
			Since: sealed, Full: in.Full, Deep: in.Deep, Progress: beat.progress}
		report, err := verify.Tree(ctx, t, g, o)
		telemetry.Problems.Add(ctx, int64(len(report.Problems)), ofMirror(in.Target.Mirror)...)
		if err == nil && len(report.Damaged) > 0 && in.Epoch > 0 {
			if out.Mended, err = s.mend(ctx, t, in.Target, in.Regions, report.Damaged); len(out.Mended) > 0 && err == nil {
				report, err = verify.Tree(ctx, t, g, o)
			}
		}
		out.Number, out.Indexes, out.Objects, out.Hashed, out.Problems = g.Number, report.Indexes, report.Objects, report.Hashed, report.Problems
		if err != nil || !report.OK() {
			if in.Target.Mirror.Kind == mirrorspec.PyPI {
				out.Holdable = len(report.Holdable())
			}
			return err
		}
		out.Sealed = true
		if t.IsSealed(g.Number) || in.Epoch == 0 {
			return nil
		}
		return t.Seal(g.Number)
	})
	return out, err
}

var kinds = map[mirrorspec.Kind]verify.Kind{mirrorspec.Apt: verify.Apt, mirrorspec.PyPI: verify.PyPI, mirrorspec.Wheels: verify.Wheels, mirrorspec.Yum: verify.Yum}
