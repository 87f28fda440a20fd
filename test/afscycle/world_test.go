// Package afscycle_test mirrors the demo upstream through a real OpenAFS cell into three regions, whose web servers real clients read.
package afscycle_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// place is a region: its site's host, its web server's, and its name in the spec.
type place struct{ name, server, web string }

var places = []place{{"one", afslab.FS1, afslab.Web1}, {"two", afslab.FS2, afslab.Web2}, {"three", afslab.FS3, afslab.Web3}}

const (
	grace      = 30 * time.Second
	maxAge     = time.Second // how long clients may keep an index
	temporalAt = "127.0.0.1:7233"
	demoAt     = "127.0.0.1:8070"
)

// world is an upstream and a mirror of it on the writer of a cell.
type world struct {
	t       *testing.T
	cell    *afslab.Cell
	dir     string // the same here and in every host
	demo    *demo.Upstream
	spec    *mirrorspec.Spec
	client  client.Client
	flips   *flips
	volumes map[string]afslab.Volume
	back    string // a region whose file server was off until now
	late    int    // cycles that did not reach a region whose file server was on
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cell: afslab.Up(t), dir: t.TempDir(), flips: newFlips(), volumes: map[string]afslab.Volume{}}
	_, err := exec.LookPath("/usr/sbin/nginx")
	lab.Need(t, "nginx is not installed (package nginx-light)", err == nil)
	var temporal string
	w.client, temporal = lab.Temporal(t)
	w.cell.Bind(t, w.dir)
	for _, name := range []string{"starter", "worker"} {
		w.build(name)
	}
	// pypi's volume is released in no less than 5 s, which is time to meet it half way.
	for name, o := range map[string]afslab.Options{"debian": {}, "pypi": {RWBeside: true}, "state": {NoRO: true}} {
		w.volumes[name] = w.cell.Mirror(t, name, o)
	}
	w.demo, err = demo.New(demo.Options{})
	must(t, err)
	w.serve(demoAt, w.demo.Handler())
	w.carry(temporalAt, temporal)
	w.writeSpec()
	for _, p := range places {
		w.nginx(p.web)
	}
	out, err := w.cell.On(afslab.Writer, filepath.Join(w.dir, "starter"), "setup", "--offline", filepath.Join(w.dir, "mirrors.toml"))
	must(t, err)
	t.Logf("setup: %s", out)
	return w
}

var version = flag.String("record", "", "write histories named after this version into workflows/testdata")

// record keeps what the workflows of a mirror did last, for the replay test of package workflows.
func (w *world) record(what string) {
	w.t.Helper()
	dir := w.cell.Path(afslab.Writer, w.volumes["debian"].RW)
	tr, err := tree.Read(tree.Config{Dir: dir, State: filepath.Join(w.cell.Path(afslab.Writer, w.volumes["state"].RW), "debian")})
	must(w.t, err)
	id := tr.ID().Tree
	must(w.t, tr.Close())
	histories := lab.Recording{Client: w.client, Version: *version, Dir: w.dir}
	histories.Save(w.t, "afs-refresh-"+what, workflows.RefreshID(id))
	histories.Save(w.t, "afs-serve-"+what, workflows.ServeID(id, afslab.Name))
}

func (w *world) build(name string) {
	w.t.Helper()
	build := exec.Command("go", "build", "-o", filepath.Join(w.dir, name), "./"+name)
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

func (w *world) writeSpec() {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "[cycle]\nname = \"afs\"\nevery = \"10s\"\nrelease-wait = \"5m\"\n")
	fmt.Fprintf(&b, "[storage]\nname = \"afs\"\nroot = \"/afs/.%[1]s/mirror\"\nstate = \"/afs/.%[1]s/state\"\nmin-free = \"1MB\"\nrollback-keep = \"1s\"\n", afslab.Name)
	fmt.Fprintf(&b, "[afs]\ncell = %q\nquota = \"2048MB\"\nwrite-principal = \"mirror\"\nwrite-keytab = %q\nrelease-principal = \"release\"\nrelease-keytab = %q\n",
		afslab.Name, afslab.Keytab("mirror"), afslab.Keytab("release"))
	for _, p := range places {
		fmt.Fprintf(&b, "[[region]]\nname = %q\nafs = { server = %q, partition = \"a\" }\nurl = %q\nindex-max-age = %q\n",
			p.name, w.cell.Addr(p.server), w.url(p), maxAge)
	}
	keyring, upstream := filepath.Join(w.dir, "keyring.gpg"), "http://"+demoAt
	fmt.Fprintf(&b, "[[mirror]]\nname = \"debian\"\nkind = \"apt\"\nupstream = [\"%s/debian\"]\nsuites = [\"demo\", \"demo-updates\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\nkeyring = %q\ngrace = %q\n",
		upstream, keyring, grace)
	fmt.Fprintf(&b, "[[mirror]]\nname = \"pypi\"\nkind = \"pypi\"\nupstream = [\"%s/pypi\"]\nprojects = [\"*\"]\ngrace = %q\n", upstream, grace)
	file := filepath.Join(w.dir, "mirrors.toml")
	must(w.t, os.WriteFile(keyring, w.demo.Keyring(), 0o644), os.WriteFile(file, []byte(b.String()), 0o644))
	var err error
	if w.spec, err = mirrorspec.Load(file); err != nil {
		w.t.Fatalf("%v\n%s", err, b.String())
	}
}

func (w *world) url(p place) string { return "http://" + w.cell.Addr(p.web) }

// serve serves inside the writer.
func (w *world) serve(address string, h http.Handler) {
	w.t.Helper()
	l, err := w.cell.Listen(context.Background(), afslab.Writer, address)
	must(w.t, err)
	s := &http.Server{Handler: h}
	go s.Serve(l)
	w.t.Cleanup(func() { s.Close() })
}

// carry takes connections inside the writer to an address of this machine.
func (w *world) carry(inside, here string) {
	w.t.Helper()
	l, err := w.cell.Listen(context.Background(), afslab.Writer, inside)
	must(w.t, err)
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", here)
				if err != nil {
					return
				}
				defer out.Close()
				go io.Copy(out, in)
				io.Copy(in, out)
			}()
		}
	}()
}

// nginx serves a region with the configuration that operators are given.
func (w *world) nginx(web string) {
	w.t.Helper()
	site, err := os.ReadFile(filepath.Join(lab.Root(), "deploy", "nginx/afs.conf"))
	must(w.t, err)
	run := filepath.Join(w.dir, web)
	conf := strings.NewReplacer("root /afs/example.org/mirror;", "root /afs/"+afslab.Name+"/mirror;", "max-age=600;", fmt.Sprintf("max-age=%.0f;", maxAge.Seconds())).Replace(string(site))
	// user root: the directories of this run are root's.
	whole := fmt.Sprintf("user root; daemon off; worker_processes 8; pid %[1]s/pid; error_log %[1]s/error.log;\nevents {}\nhttp {\nlog_format short '$msec $status $request_uri $http_user_agent';\naccess_log %[1]s/access.log short;\n"+
		"client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;\n%[2]s}\n", run, conf)
	must(w.t, os.Mkdir(run, 0o755), os.WriteFile(filepath.Join(run, "nginx.conf"), []byte(whole), 0o644))
	w.startNginx(web)
}

func (w *world) startNginx(web string) {
	w.t.Helper()
	run := filepath.Join(w.dir, web)
	cmd := w.cell.Command(context.Background(), web, "/usr/sbin/nginx", "-e", run+"/error.log", "-c", run+"/nginx.conf")
	var said bytes.Buffer
	cmd.Stderr = &said
	must(w.t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.t.Cleanup(func() {
		w.cell.Signal(cmd, syscall.SIGTERM) // its children end with it
		<-ended
		if log, _ := os.ReadFile(run + "/error.log"); w.t.Failed() {
			w.t.Logf("%s: %s%s", web, said.String(), last(log, 600))
		}
	})
	for { // until it listens or ends
		conn, err := w.cell.Dial(context.Background(), web, w.cell.Addr(web)+":80")
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			w.t.Fatalf("nginx in %s: %v %s", web, err, said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// worker is a worker process on the writer.
type worker struct {
	w     *world
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

func (w *world) work(env ...string) *worker {
	w.t.Helper()
	f, err := os.CreateTemp(w.dir, "worker")
	must(w.t, err)
	defer f.Close()
	argv := append([]string{"env", "TEMPORAL_ADDRESS=" + temporalAt}, env...)
	p := &worker{w: w, log: f.Name(), ended: make(chan struct{})}
	p.cmd = w.cell.Command(context.Background(), afslab.Writer, append(argv, filepath.Join(w.dir, "worker"), "--roles", "cycle,sync:afs,release:"+afslab.Name, "--dirs", "/", "--files", "/")...)
	p.cmd.Stderr = f
	must(w.t, p.cmd.Start())
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	w.t.Cleanup(func() {
		p.stop()
		if log, _ := os.ReadFile(p.log); w.t.Failed() {
			w.t.Logf("worker: %s", last(log, 1000))
		}
	})
	return p
}

func (p *worker) stop() {
	p.w.cell.Signal(p.cmd, syscall.SIGTERM)
	<-p.ended
}

// change lets upstream publish something in both archives.
func (w *world) change() {
	w.t.Helper()
	must(w.t, w.demo.Step(), w.demo.Step())
}

// settled runs a cycle, and another one if a region was not to be reached, which
// on a busy machine happens; those whose file server is off are left out.
//
// A client that asks the database while vos works on an entry learns only of
// the sites that are done already, and asks again after ten minutes at the
// earliest. Elsewhere it would read another region's site meanwhile; here it
// cannot, so its clients get 503, or wait. And a client whose file server was
// off believes so for up to three minutes, and in its cache as long. An
// operator says fs checkservers and fs checkvolumes; afsd.fuse does not know
// these, and is mounted anew.
func (w *world) settled(off ...string) workflows.CycleResult {
	w.t.Helper()
	r := w.cycle()
	lost, late := map[string]bool{}, false
	for _, m := range r.Mirrors {
		for _, g := range m.Regions {
			if g.FaultKind != string(fault.Unavailable) || slices.Contains(off, g.Region) {
				continue
			}
			old := g.Region == w.back && strings.Contains(g.Error, ": it serves generation ")
			lost[g.Region] = lost[g.Region] || old || noAnswer.MatchString(g.Error)
			late = true
			w.t.Logf("%s of %s comes with the next cycle: %s", g.Region, m.Mirror, g.Error)
		}
	}
	for _, p := range places {
		if lost[p.name] {
			w.t.Logf("the client of %s is mounted anew", p.name)
			w.cell.Remount(w.t, p.web)
		}
	}
	if !late {
		return r
	}
	if w.late++; w.late > 4 {
		w.t.Errorf("cycle %d that did not reach a region whose file server is on", w.late)
	}
	return w.cycle()
}

// noAnswer is a probe to which a web server that listens had nothing to say.
var noAnswer = regexp.MustCompile(`/generation\.json.*(: 503|Timeout|deadline)`)

// cycle runs one and returns what came of it.
func (w *world) cycle() workflows.CycleResult {
	w.t.Helper()
	start := time.Now()
	r := w.await(w.start())
	var said []string
	for _, m := range r.Mirrors {
		said = append(said, fmt.Sprintf("%s %s %d", m.Mirror, m.Outcome, m.Generation))
		for _, g := range m.Regions {
			said = append(said, fmt.Sprintf("%s:%s:%d", g.Region, g.Outcome, g.Serves))
		}
	}
	w.t.Logf("cycle of %.1f s: %s", time.Since(start).Seconds(), strings.Join(said, " "))
	w.flips.done()
	return r
}

func (w *world) start() client.WorkflowRun {
	w.t.Helper()
	run, err := w.client.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{ID: workflows.CycleID("afs"), TaskQueue: workflows.Queue},
		"MirrorCycle", workflows.CycleInput{Spec: *w.spec})
	must(w.t, err)
	return run
}

func (w *world) await(run client.WorkflowRun) workflows.CycleResult {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 6*time.Minute)
	defer cancel()
	var r workflows.CycleResult
	must(w.t, run.Get(ctx, &r))
	return r
}

// good wants every mirror and every region of a cycle but these to have come to the newest generation.
func (w *world) good(r workflows.CycleResult, but ...string) {
	w.t.Helper()
	for _, m := range r.Mirrors {
		if m.Outcome != workflows.Done && m.Outcome != workflows.Unchanged && len(but) == 0 || m.Error != "" {
			w.t.Errorf("%s: %s: %s %s %v", m.Mirror, m.Outcome, m.FaultKind, m.Error, m.Deferred)
		}
		if len(m.Regions) != len(places) {
			w.t.Errorf("%s: %d regions", m.Mirror, len(m.Regions))
		}
		for _, g := range m.Regions {
			if behind := g.Serves != m.Generation || g.Error != ""; behind != slices.Contains(but, g.Region) {
				w.t.Errorf("%s in %s: %s, serves %d of %d: %s %s", m.Mirror, g.Region, g.Outcome, g.Serves, m.Generation, g.FaultKind, g.Error)
			}
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// flips tells those who wait that a cycle has ended.
type flips struct {
	mu   sync.Mutex
	next chan struct{}
}

func newFlips() *flips { return &flips{next: make(chan struct{})} }

func (f *flips) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.next)
	f.next = make(chan struct{})
}

func (f *flips) wait() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}
