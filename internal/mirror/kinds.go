package mirror

import (
	"fmt"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/yum"
	"mirrorcycle/mirrorspec"
)

// kind is all that is special about one kind of mirror.
type kind struct {
	verify verify.Kind
	engine func(Target, *fetch.Client) (Engine, error)
	// expires tells when clients begin to refuse a generation; nil is never.
	expires func(*tree.Generation) (time.Time, error)
	// lacks counts the files that upstream lists and the mirror has not, and
	// those of them that cannot be believed, with n of both; nil is none.
	lacks func(t *tree.Tree, n int) (missing, refused int64, some []pypi.Lack, err error)
}

// kinds has a row for each kind of mirror that a spec may name.
var kinds = map[mirrorspec.Kind]kind{
	mirrorspec.Apt:    {verify: verify.Apt, engine: aptEngine, expires: apt.ValidUntil},
	mirrorspec.Yum:    {verify: verify.Yum, engine: yumEngine},
	mirrorspec.PyPI:   {verify: verify.PyPI, engine: pypiEngine, lacks: pypi.Lacking},
	mirrorspec.Wheels: {verify: verify.Wheels, engine: wheelsEngine},
}

// engine builds the engine of the mirror's kind.
func (m *Mirror) engine() (Engine, error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	k, ok := kinds[m.Mirror.Kind]
	if !ok {
		return nil, &fault.Error{Kind: fault.Config, Op: "mirror: run", Subject: m.Mirror.Name,
			Err: fmt.Errorf("this version has no engine for kind %q", m.Mirror.Kind), Advice: "remove the mirror from the spec"}
	}
	return k.engine(m.Target, client)
}

func aptEngine(t Target, client *fetch.Client) (Engine, error) {
	m := t.Mirror
	return apt.New(apt.Config{Upstreams: m.Upstream, Suites: m.Suites, Components: m.Components, SuiteComponents: m.SuiteComponents, Architectures: m.Architectures,
		Indexes: m.Indexes, Translations: m.Translations, Keyring: m.Keyring, Replace: m.OnConflict == mirrorspec.Replace,
		Tolerate: m.Missing == mirrorspec.Tolerate, IgnoreValidUntil: m.IgnoreValidUntil, ByHash: m.ByHash}, client), nil
}

func yumEngine(t Target, client *fetch.Client) (Engine, error) {
	m := t.Mirror
	return yum.New(yum.Config{Upstreams: m.Upstream, Repos: m.Repos, Releases: m.Releases, Architectures: m.Architectures, Metalink: m.Metalink,
		MirrorList: m.MirrorList, Keyring: m.Keyring, Proof: m.Proof, Replace: m.OnConflict == mirrorspec.Replace,
		Tolerate: m.Missing == mirrorspec.Tolerate, Grace: time.Duration(m.Grace),
		Filter: yum.Filter{Packages: m.Packages, Exclude: m.Exclude, KeepLatest: m.KeepLatest, LeaveSources: m.LeaveSources, LeaveDebuginfo: m.LeaveDebuginfo}}, client), nil
}

func pypiEngine(t Target, client *fetch.Client) (Engine, error) {
	return sparingPyPI{pypi.New(pypiConfig(t), client)}, nil
}

// sparing is an Engine that can plan so that nothing goes.
type sparing interface{ spare() Engine }

// sparingPyPI leaves the projects of which files would go as they are.
type sparingPyPI struct{ *pypi.Engine }

func (e sparingPyPI) spare() Engine { return e.Sparing() }
