// Package lab runs the whole program against a real Temporal server, for tests.
package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"mirrorcycle/activities"
	"mirrorcycle/internal/local"
	"mirrorcycle/internal/need"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/internal/serve"
	"mirrorcycle/internal/service"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

// Need is need.That with the words the other way round, as the callers of a lab read best.
func Need(tb testing.TB, why string, ok bool) {
	tb.Helper()
	need.That(tb, ok, why)
}

// Scratch makes a directory that lasts as long as the package's tests.
func Scratch() (string, error) {
	dir, err := os.MkdirTemp("", "mirrorcycle-lab")
	if err == nil {
		scratch = append(scratch, dir)
	}
	return dir, err
}

var scratch []string

var shared struct {
	once   sync.Once
	server *local.Server
	err    error
	dir    string
}

// Main runs the tests of a package and ends the Temporal server that they shared.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	for _, dir := range scratch {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// Root is the project's directory.
func Root() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	panic(err)
}

// Temporal returns a client of the server that all tests of the process share.
func Temporal(tb testing.TB) (client.Client, string) {
	tb.Helper()
	shared.once.Do(func() {
		program := filepath.Join(Root(), "bin", local.Program)
		if _, err := os.Stat(program); err != nil {
			if program, shared.err = local.Find(); shared.err != nil {
				return
			}
		}
		if shared.dir, shared.err = os.MkdirTemp("", "mirrorcycle-lab"); shared.err == nil {
			shared.server, shared.err = local.Start(context.Background(), program, local.Options{Dir: shared.dir, Attributes: workflows.SearchAttributes()})
		}
	})
	Need(tb, fmt.Sprint("no Temporal server: make bin/temporal-dev: ", shared.err), shared.err == nil)
	var c client.Client
	err := errors.New("not tried")
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); {
		c, err = service.Dial(context.Background(), client.Options{HostPort: shared.server.Address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c, shared.server.Address
}

// WebUI is the URL of the Web UI of the server that tests share, after Temporal.
func WebUI() string { return shared.server.UI }

// House is a spec that has been set up, with a web server for each region.
type House struct {
	tb      testing.TB
	Dir     string
	Spec    *mirrorspec.Spec
	Client  client.Client
	Address string // of Temporal
	Regions map[string]*Front
	name    string
	builder activities.Builder
}

// Front is a region's web server. Down makes it refuse every request.
type Front struct {
	URL     string
	handler http.Handler
	mu      sync.Mutex
	down    bool
}

// Down switches the front end off or on.
func (f *Front) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// Serve makes dir what the front end serves, once it is there, as a web server
// whose configuration was changed. Before it answers as it did.
func (f *Front) Serve(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.handler
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, err := serve.New(serve.Options{Dir: dir}); err == nil {
			h.ServeHTTP(w, r)
			return
		}
		before.ServeHTTP(w, r)
	})
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	f.handler.ServeHTTP(w, r)
}

// Options describe a house.
type Options struct {
	Name    string   // of the cycle and the storage, default one that no other test has
	Regions []string // names
	// Mirrors is the TOML of the [[mirror]] sections.
	Mirrors string
	Every   string // default 1s
	Keep    string // of superseded generations in regions, default 1s
	MaxAge  string // of indexes, default 1s
	Back    string // how long a tree keeps what was dropped, default 1h
	Pull    string // name of a region that pulls over HTTP
	NoWork  bool   // do not start a worker
	Window  string // of wheels, default 10m
	Builder activities.Builder
}

// New makes a house in a temporary directory.
func New(tb testing.TB, o Options) *House {
	tb.Helper()
	h := &House{tb: tb, Dir: tb.TempDir(), Regions: map[string]*Front{}, builder: o.Builder}
	h.name = strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ":", "-").Replace(tb.Name()))
	if len(h.name) > 40 {
		h.name = h.name[len(h.name)-40:]
	}
	h.name = or(o.Name, strings.Trim(h.name, "-")+fmt.Sprint(os.Getpid()))
	h.Client, h.Address = Temporal(tb)
	var b strings.Builder
	fmt.Fprintf(&b, "[cycle]\nname = %q\nevery = %q\nrelease-wait = \"1m\"\nwheel-window = %q\n", h.name, or(o.Every, "1s"), or(o.Window, "10m"))
	fmt.Fprintf(&b, "[storage]\nname = %q\nroot = %q\nstate = %q\nmin-free = \"1MB\"\nrollback-keep = %q\n", h.name,
		filepath.Join(h.Dir, "trees"), filepath.Join(h.Dir, "state"), or(o.Back, "1h"))
	if o.Pull != "" {
		origin := httptest.NewServer(release.OriginHandler(filepath.Join(h.Dir, "trees"), filepath.Join(h.Dir, "state")))
		tb.Cleanup(origin.Close)
		fmt.Fprintf(&b, "url = %q\n", origin.URL)
	}
	for _, name := range o.Regions {
		f := &Front{}
		srv := httptest.NewServer(f)
		tb.Cleanup(srv.Close)
		f.URL = srv.URL
		h.Regions[name] = f
		fmt.Fprintf(&b, "[[region]]\nname = %q\ndir = %q\nurl = %q\nkeep = %q\nindex-max-age = %q\n", name, filepath.Join(h.Dir, "regions", name), srv.URL,
			or(o.Keep, "1s"), or(o.MaxAge, "1s"))
		if name == o.Pull {
			b.WriteString("pull = true\n")
		}
	}
	b.WriteString(o.Mirrors)
	file := filepath.Join(h.Dir, "mirrors.toml")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		tb.Fatal(err)
	}
	spec, err := mirrorspec.Load(file)
	if err != nil {
		tb.Fatalf("%v\n%s", err, b.String())
	}
	h.Spec = spec
	h.setup()
	if !o.NoWork {
		h.Work()
	}
	return h
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (h *House) setup() {
	h.tb.Helper()
	for _, m := range h.Spec.Mirrors {
		if _, err := tree.Setup(tree.Config{Dir: h.Spec.TreeDir(m.Name), State: h.Spec.StateDir(m.Name), Parts: m.Volumes}, m.Name); err != nil {
			h.tb.Fatal(err)
		}
	}
	indexes := map[string]string{}
	for _, m := range h.Spec.Mirrors {
		if m.Index != "" {
			indexes[m.Name] = m.Index
		}
	}
	for _, r := range h.Spec.Regions {
		if err := errors.Join(dir.Setup(r.Dir, r.Name), site.Setup(r.Site, r.Name)); err != nil {
			h.tb.Fatal(err)
		}
		handler, err := serve.New(serve.Options{Dir: r.Dir, IndexMaxAge: time.Duration(r.IndexMaxAge), Site: r.Site, Indexes: indexes})
		if err != nil {
			h.tb.Fatal(err)
		}
		h.Regions[r.Name].handler = handler
	}
}

// SpecFile is where the house's spec is.
func (h *House) SpecFile() string { return filepath.Join(h.Dir, "mirrors.toml") }

// CycleID is the workflow ID of the house's cycles.
func (h *House) CycleID() string { return workflows.CycleID(h.name) }

// Roles are what a worker of this house must serve.
func (h *House) Roles() string {
	roles := "cycle,sync:" + h.Spec.Storage.Name
	for _, r := range h.Spec.Regions {
		if r.Pull {
			roles += ",release:" + r.Name
		}
	}
	for _, m := range h.Spec.Mirrors {
		for _, p := range m.Platforms {
			roles += ",wheels:" + p.Name
		}
	}
	return roles
}

// Work starts a worker in this process.
func (h *House) Work() {
	h.tb.Helper()
	roles, err := service.ParseRoles(h.Roles())
	if err != nil {
		h.tb.Fatal(err)
	}
	s, err := service.Start(service.Options{Client: h.Client, Roles: roles, Permit: activities.Anything(), Builder: h.builder})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(s.Stop)
}

// Cycle runs one cycle and waits for its result.
func (h *House) Cycle(only ...string) workflows.CycleResult {
	h.tb.Helper()
	run := h.Start(only...)
	var out workflows.CycleResult
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if err := run.Get(ctx, &out); err != nil {
		h.tb.Fatal(err)
	}
	return out
}

// Start starts a cycle.
func (h *House) Start(only ...string) client.WorkflowRun {
	h.tb.Helper()
	return h.StartAs(h.name, only...)
}

// Mirror gives a mirror's refresh an order, as starter approve and rollback do.
func (h *House) Mirror(name string, order workflows.Order) workflows.MirrorResult {
	h.tb.Helper()
	t, err := tree.Read(tree.Config{Dir: h.Spec.TreeDir(name), State: h.Spec.StateDir(name)})
	if err != nil {
		h.tb.Fatal(err)
	}
	defer t.Close()
	order.ReleaseWait = h.Spec.Cycle.ReleaseWait
	in := workflows.RefreshInput{Target: workflows.Targets(*h.Spec, []string{name})[0], Tree: t.ID().Tree, Regions: h.Spec.RegionsOf(name), Order: order}
	run, err := h.Client.SignalWithStartWorkflow(context.Background(), workflows.RefreshID(in.Tree), workflows.SignalOrder, order,
		client.StartWorkflowOptions{TaskQueue: workflows.Queue}, "Refresh", in)
	var out workflows.MirrorResult
	if err == nil {
		err = run.Get(context.Background(), &out)
	}
	if err != nil {
		h.tb.Fatal(err)
	}
	return out
}

// StartAs starts a cycle under a name of its own.
func (h *House) StartAs(name string, only ...string) client.WorkflowRun {
	h.tb.Helper()
	run, err := h.Client.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: workflows.CycleID(name), TaskQueue: workflows.Queue},
		"MirrorCycle", workflows.CycleInput{Spec: *h.Spec, Only: only})
	if err != nil {
		h.tb.Fatal(err)
	}
	return run
}

// Status returns the HTTP status of a region's path.
func (h *House) Status(region, path string) int {
	h.tb.Helper()
	resp, err := http.Get(h.Regions[region].URL + path)
	if err != nil {
		h.tb.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// FreeAddress is a loopback address that nobody listens on.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
