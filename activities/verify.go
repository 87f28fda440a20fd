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
		report, err := verify.Tree(ctx, t, g, verify.Options{Kind: kinds[in.Target.Mirror.Kind], Keyring: in.Target.Mirror.Keyring, Foreign: foreign,
			Since: sealed, Full: in.Full, Deep: in.Deep, Progress: beat.progress})
		out = Verified{Number: g.Number, Indexes: report.Indexes, Objects: report.Objects, Hashed: report.Hashed, Problems: report.Problems}
		telemetry.Problems.Add(ctx, int64(len(report.Problems)), ofMirror(in.Target.Mirror)...)
		if err != nil || !report.OK() {
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

var kinds = map[mirrorspec.Kind]verify.Kind{mirrorspec.Apt: verify.Apt, mirrorspec.PyPI: verify.PyPI, mirrorspec.Wheels: verify.Wheels}
