// Package house keeps the order of the rooms: which package stands on which floor, and who may open whose door.
package house

// Floors lists the rooms from the ground up. A room may import rooms of lower
// floors only; rooms of one floor are strangers. Tests may look anywhere.
var Floors = [][]string{
	{"internal/fault", "internal/house", "internal/span"},
	{"mirrorspec", "internal/manifest", "internal/durable", "internal/ledger", "internal/debrepo", "internal/simpleindex", "internal/vos", "internal/afsread", "deploy/afs-cell/netns", "deploy/sbom"},
	{"internal/journal", "internal/rpmrepo", "internal/fetch", "internal/site", "internal/tree", "internal/debrepo/debrepotest", "internal/wheel", "internal/sandbox", "internal/requirements", "deploy/afs-cell/forward", "internal/clientfiles", "internal/hostconf"},
	{"internal/backend", "internal/standing", "internal/transfer", "internal/reqsource", "internal/sdist", "internal/turns", "internal/rpmrepo/rpmrepotest"},
	{"internal/release/dir", "internal/release/afs", "internal/notify", "internal/telemetry", "internal/build"},
	{"internal/apt", "internal/yum", "internal/pypi", "internal/wheels", "internal/verify", "internal/release", "internal/afsadmin"},
	{"internal/mirror", "internal/console", "internal/serve", "internal/demo"},
	{"activities", "internal/local", "internal/doctor"},
	{"workflows"},
	{"internal/service"},
	{"starter", "worker"},
}

// TemporalFloor is the lowest floor on which Temporal's SDK may be imported.
const TemporalFloor = 7

// Benches are packages that only tests import; they stand outside the floors.
var Benches = []string{"internal/enginetest", "internal/reqsource/githubtest", "internal/backend/backendtest", "internal/lab", "internal/need", "internal/afslab", "internal/otlptest", "internal/rootlab"}
