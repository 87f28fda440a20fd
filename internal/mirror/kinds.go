package mirror

import (
	"fmt"
	"time"

	"mirrorcycle/internal/apt"
	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/internal/yum"
	"mirrorcycle/mirrorspec"
)

// Kind is all that is special about one kind of mirror, but for its keys in a
// spec (mirrorspec). What is nil a kind has not.
type Kind struct {
	// Engine brings an upstream of the kind into a tree.
	Engine func(Target, *fetch.Client) (Engine, error)
	// Verify checks the changed indexes of a tree.
	Verify verify.Kind
	// Clients writes the files by which clients use a mirror.
	Clients clientfiles.Kind
	// Init writes mirrors of what a machine uses.
	Init hostconf.Part
	// Hint says what to type to try a mirror, which is served at url.
	Hint func(m mirrorspec.Mirror, tree, url string) []string
	// Hold makes the newest generation anew, with units as generation to has them.
	Hold func(m Target, t *tree.Tree, to *tree.Generation, units []string) (tree.CommitRequest, error)
	// Expires tells when clients begin to refuse a generation.
	Expires func(*tree.Generation) (time.Time, error)
	// Lacks says what the committed generation has not of what upstream lists, and
	// names up to n of it. Repositories of yum count as a whole; of wheels the
	// states of the pins say it.
	Lacks func(t *tree.Tree, n int) (tree.Lacks, error)
}

// kinds has a row for each kind of mirror that a spec may name.
var kinds = map[mirrorspec.Kind]Kind{
	mirrorspec.Apt:    {Engine: aptEngine, Verify: verify.Apt, Clients: clientfiles.Apt, Init: hostconf.Apt, Hint: aptHint, Expires: apt.ValidUntil, Lacks: apt.Lacking},
	mirrorspec.Yum:    {Engine: yumEngine, Verify: verify.Yum, Clients: clientfiles.Yum, Init: hostconf.Yum, Hint: yumHint},
	mirrorspec.PyPI:   {Engine: pypiEngine, Verify: verify.PyPI, Clients: clientfiles.PyPI, Init: hostconf.Python, Hint: pypiHint, Hold: pypiHold, Lacks: pypi.Lacking},
	mirrorspec.Wheels: {Engine: wheelsEngine, Verify: verify.Wheels, Clients: clientfiles.Wheels, Hint: wheelsHint},
}

// engine builds the engine of the mirror's kind.
func (m *Mirror) engine() (Engine, error) {
	client, err := m.client()
	if err != nil {
		return nil, err
	}
	k := kinds[m.Mirror.Kind]
	if k.Engine == nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "mirror: run", Subject: m.Mirror.Name,
			Err: fmt.Errorf("this version has no engine for kind %q", m.Mirror.Kind), Advice: "remove the mirror from the spec"}
	}
	return k.Engine(m.Target, client)
}

func aptEngine(t Target, client *fetch.Client) (Engine, error) {
	m := t.Mirror
	return apt.New(apt.Config{Upstreams: m.Upstream, Suites: m.Suites, Components: m.Components, SuiteComponents: m.SuiteComponents, Architectures: m.Architectures,
		Indexes: m.Indexes, Translations: m.Translations, Keyring: m.Keyring, Replace: m.OnConflict == mirrorspec.Replace,
		Tolerate: m.Missing == mirrorspec.Tolerate, IgnoreValidUntil: m.IgnoreValidUntil, ByHash: m.ByHash, Step: stepOf(t), Room: roomOf(t)}, client), nil
}

func yumEngine(t Target, client *fetch.Client) (Engine, error) {
	m := t.Mirror
	return yum.New(yum.Config{Upstreams: m.Upstream, Repos: m.Repos, Releases: m.Releases, Architectures: m.Architectures, Metalink: m.Metalink,
		MirrorList: m.MirrorList, Keyring: m.Keyring, Proof: m.Proof, Replace: m.OnConflict == mirrorspec.Replace,
		Tolerate: m.Missing == mirrorspec.Tolerate, Grace: time.Duration(m.Grace),
		Filter: yum.Filter{Packages: m.Packages, Exclude: m.Exclude, KeepLatest: m.KeepLatest, LeaveSources: m.LeaveSources, LeaveDebuginfo: m.LeaveDebuginfo}, Step: stepOf(t)}, client), nil
}

// roomOf tells what the contents of indexes may take of the state's disk, but
// for AFS, whose client cannot say.
func roomOf(t Target) func(*tree.Tree) (int64, error) {
	if t.AFS != nil {
		return nil
	}
	return func(tr *tree.Tree) (int64, error) { return tr.Room(int64(t.Storage.MinFree)) }
}

// stepOf is how much one plan of a mirror brings.
func stepOf(t Target) tree.Step {
	return tree.Step{Bytes: int64(t.Limits.Step), Objects: int64(t.Limits.StepObjects)}
}

func pypiEngine(t Target, client *fetch.Client) (Engine, error) {
	return sparingPyPI{pypi.New(pypiConfig(t), client)}, nil
}

func pypiHold(m Target, t *tree.Tree, to *tree.Generation, projects []string) (tree.CommitRequest, error) {
	return pypi.New(pypiConfig(m), nil).Hold(t, to, projects)
}

// sparing is an Engine that can plan so that nothing goes.
type sparing interface{ spare() Engine }

// sparingPyPI leaves the projects of which files would go as they are.
type sparingPyPI struct{ *pypi.Engine }

func (e sparingPyPI) spare() Engine { return e.Sparing() }
