package mirror

import (
	"context"
	"errors"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/telemetry"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// VerifyOptions say how closely to look.
type VerifyOptions struct {
	Full bool // every entry, not only what changed
	Deep bool // hash every file
	// Copies of what is damaged may come from the regions.
	Regions []mirrorspec.Region
}

// Verified counts what was looked at and what was wrong.
type Verified struct {
	Number   int64    `json:"number"`
	Indexes  int64    `json:"indexes"`
	Objects  int64    `json:"objects"`
	Hashed   int64    `json:"hashed"` // bytes
	Problems []string `json:"problems,omitempty"`
	Mended   []string `json:"mended,omitempty"` // paths that were damaged and are whole again
	Sealed   bool     `json:"sealed"`
	Holdable int      `json:"holdable,omitempty"` // projects that alone are wrong: HoldUnits makes the rest right
}

// Verify checks the committed generation as a stranger and, if it holds, seals
// it. A mirror that was opened to read is neither mended nor sealed.
func (m *Mirror) Verify(ctx context.Context, o VerifyOptions) (out Verified, err error) {
	g, err := m.t.Committed()
	if err != nil || g == nil {
		return out, err
	}
	sealed, err := m.t.Sealed()
	if err != nil {
		return out, err
	}
	foreign, done, err := m.foreigns()
	if err != nil {
		return out, err
	}
	defer done()
	ctx, end := m.begin(ctx, "verify")
	defer func() { end(err) }()
	how := m.verifying(o)
	how.Since, how.Foreign = sealed, foreign
	report, err := verify.Tree(ctx, m.t, g, how)
	telemetry.Problems.Add(ctx, int64(len(report.Problems)), m.attributes()...)
	if err == nil && len(report.Damaged) > 0 && m.t.Epoch() > 0 {
		if out.Mended, err = m.mend(ctx, o.Regions, report.Damaged); len(out.Mended) > 0 && err == nil {
			report, err = verify.Tree(ctx, m.t, g, how)
		}
	}
	out.Number, out.Indexes, out.Objects, out.Hashed, out.Problems = g.Number, report.Indexes, report.Objects, report.Hashed, report.Problems
	if err != nil || !report.OK() {
		if kinds[m.Mirror.Kind].Hold != nil {
			out.Holdable = len(report.Holdable())
		}
		return out, err
	}
	out.Sealed = true
	if m.t.IsSealed(g.Number) || m.t.Epoch() == 0 {
		return out, nil
	}
	return out, m.t.Seal(g.Number)
}

func (m *Mirror) verifying(o VerifyOptions) verify.Options {
	return verify.Options{Kind: kinds[m.Mirror.Kind].Verify, Keyring: m.Mirror.Keyring, Proof: m.Mirror.Proof,
		Full: o.Full, Deep: o.Deep, Progress: m.run.Progress}
}

// doubt checks the committed generation for a person, and changes nothing.
func (m *Mirror) doubt(ctx context.Context, q Question) (*Verified, error) {
	g, err := m.t.Committed()
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, &fault.Error{Kind: fault.Gone, Op: "verify: tree", Subject: m.t.Dir(), Err: errors.New("it has no generation yet"), Advice: "run the mirror first"}
	}
	foreign, done, err := m.foreigns()
	if err != nil {
		return nil, err
	}
	defer done()
	how := m.verifying(VerifyOptions{Full: q.Full || q.Deep, Deep: q.Deep})
	how.Foreign = foreign
	report, err := verify.Tree(ctx, m.t, g, how)
	return &Verified{Number: g.Number, Indexes: report.Indexes, Objects: report.Objects, Hashed: report.Hashed,
		Problems: report.Problems, Sealed: m.t.IsSealed(g.Number)}, err
}
