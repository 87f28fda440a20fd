// Package wheelcycle_test builds real source distributions on real roots in cycles on a real Temporal server, and installs the wheels with pip and uv.
package wheelcycle_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"mirrorcycle/activities"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/workflows"
)

// The environment of a build worker that is a process of its own.
const rolesEnv, notesEnv = "MIRRORCYCLE_TEST_ROLES", "MIRRORCYCLE_TEST_NOTES"

func TestMain(m *testing.M) {
	if roles := os.Getenv(rolesEnv); roles != "" {
		if err := work(roles, os.Getenv(notesEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	lab.Main(m)
}

func work(list, notes string) error {
	roles, err := service.ParseRoles(list)
	if err != nil {
		return err
	}
	c, err := service.Dial(context.Background(), client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS"), Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	return service.Run(context.Background(), service.Options{Client: c, Roles: roles, Permit: activities.Anything(), Builder: noting{new(activities.Sandboxed), notes}})
}

// noting is the real builder; it notes every build that it begins.
type noting struct {
	activities.Builder
	dir string
}

func (n noting) Build(ctx context.Context, r activities.BuildRequest) (activities.Delivered, error) {
	f, err := os.OpenFile(filepath.Join(n.dir, r.Platform.Name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return activities.Delivered{}, err
	}
	_, err = f.WriteString(r.Job.Pin.String() + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return activities.Delivered{}, err
	}
	return n.Builder.Build(ctx, r)
}

// mill is a house with a wheels mirror of two platforms, whose build workers are
// processes of their own.
type mill struct {
	*lab.House
	t     *testing.T
	u     *lab.Upstream
	roots map[string]string // of platforms
	wants string            // directory of requirements and constraints
	notes string
	uv    string
	// versions of projects, by source distribution, that upstream has
	offered map[string][]lab.Object
}

func newMill(t *testing.T) *mill {
	t.Helper()
	return newMillOn(t, constrained+patient, rootlab.Debian12, rootlab.Debian13)
}

// constrained is where most mills have their constraints.
const constrained = `constraints = "{wants}/upper-constraints.txt"
`

// patient is for real builds on a busy machine.
const patient = `build-timeout = "240s"
builds = 2
`

// newMillOn has a platform for each of these roots, and more keys of the wheels
// mirror, in which {wants} is the directory of requirements.
func newMillOn(t *testing.T, more string, roots ...string) *mill {
	t.Helper()
	m := &mill{t: t, u: lab.NewUpstream(t), wants: t.TempDir(), notes: t.TempDir(), roots: map[string]string{}, offered: map[string][]lab.Object{}}
	var platforms []string
	for _, root := range roots {
		name := fmt.Sprint(root, "-", os.Getpid())
		m.roots[name] = rootlab.Root(t, root)
		platforms = append(platforms, fmt.Sprintf("{ name = %q, root = %q, python = %q }", name, m.roots[name], rootlab.Platforms[root].Python))
	}
	m.House = lab.New(t, lab.Options{Regions: []string{"here"}, Window: "60m", Keep: "1h", NoWork: true, Mirrors: strings.Replace(m.u.PyPIMirror("pypi", "1h"),
		`projects = ["*"]`, `requirements = ["wheels"]`, 1) + fmt.Sprintf(`[[mirror]]
name = "wheels"
kind = "wheels"
index = "pypi"
file = %q
build-memory = "1GB"
platforms = [%s]
%s
`, filepath.Join(m.wants, "global-requirements.txt"), strings.Join(platforms, ", "), strings.ReplaceAll(more, "{wants}", m.wants))})
	return m
}

// offer publishes the files of a directory, beside what is there.
func (m *mill) offer(dir string) {
	m.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		m.offerFile(filepath.Join(dir, e.Name()))
	}
}

func (m *mill) offerFile(path string) {
	m.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	name, version := rootlab.PinOf(filepath.Base(path))
	m.offered[name] = append(m.offered[name], lab.Object{Filename: filepath.Base(path), Version: version, Data: data})
	m.u.Objects(name, m.offered[name]...)
}

// want writes requirements and constraints as OpenStack's are written: names as
// their projects spell them, comments, one line per Python where versions differ.
func (m *mill) want(sources []string) {
	m.t.Helper()
	requirements, constraints := "# Names only; upper-constraints.txt says which version.\n\n", ""
	for _, s := range sources {
		name, version, _ := strings.Cut(s, "==")
		marker := "python_version>='3.11'"
		if root := only[name]; root != "" {
			marker = "python_version=='" + rootlab.Platforms[root].Python + "'"
		}
		requirements += name + "!=0.1,>=0.0.1;" + marker + "  # some license\n"
		constraints += fmt.Sprintf("%[1]s===0.1;python_version=='2.7'\n%[1]s===%[2]s;%[3]s\n", strings.ReplaceAll(name, "_", "."), version, marker)
	}
	constraints += "unasked===1.0\n"
	m.write("global-requirements.txt", requirements)
	m.write("upper-constraints.txt", constraints)
}

func (m *mill) platforms() []string {
	var out []string
	for _, p := range m.Spec.Mirrors[1].Platforms {
		out = append(out, p.Name)
	}
	return out
}

// begun counts the builds that were begun on a platform, by pin.
func (m *mill) begun(platform string) map[string]int {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.notes, platform))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	out := map[string]int{}
	for pin := range strings.FieldsSeq(string(data)) {
		out[pin]++
	}
	return out
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// taken lists what was taken in on a platform: built or failed.
func (m *mill) taken(platform string) (out []string) {
	m.t.Helper()
	log, err := wheels.Store{State: m.Spec.StateDir("wheels")}.Read(platform)
	if err != nil {
		m.t.Fatal(err)
	}
	for pin, e := range log {
		if e.Built != nil || e.Failed != nil {
			out = append(out, pin.String())
		}
	}
	slices.Sort(out)
	return out
}

func (m *mill) states() map[string]activities.WheelState {
	m.t.Helper()
	var out struct {
		Wheels []activities.WheelState `json:"wheels"`
	}
	if err := json.Unmarshal(m.starter("wheels", "--json"), &out); err != nil {
		m.t.Fatal(err)
	}
	states := map[string]activities.WheelState{}
	for _, s := range out.Wheels {
		states[s.Platform+" "+s.Pin] = s
	}
	return states
}

// serve runs a worker of the storage in this process.
func (m *mill) serve() {
	m.t.Helper()
	roles, err := service.ParseRoles("cycle,sync:" + m.Spec.Storage.Name)
	if err != nil {
		m.t.Fatal(err)
	}
	s, err := service.Start(service.Options{Client: m.Client, Roles: roles, Permit: activities.Anything()})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(s.Stop)
}

// spawn starts a build worker that is a process of its own.
func (m *mill) spawn() *lab.Process {
	m.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = lab.Environ(rolesEnv+"=wheels:"+strings.Join(m.platforms(), ",wheels:"), notesEnv+"="+m.notes, "TEMPORAL_ADDRESS="+m.Address)
	return lab.Spawn(m.t, cmd)
}

// patiently runs a cycle however long it takes.
func (m *mill) patiently() (r workflows.CycleResult) {
	m.t.Helper()
	if err := m.Start().Get(m.t.Context(), &r); err != nil {
		m.t.Fatal(err)
	}
	return r
}
