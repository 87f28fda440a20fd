// Package afs_test releases mirrors through a real OpenAFS cell, in every state that production has seen.
package afs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/afs"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

func TestMain(m *testing.M) { afslab.Main(m) }

type content = backendtest.Content

// sites are the file servers with read-only sites, and webs the hosts that read one of them each.
var (
	sites = []string{afslab.FS1, afslab.FS2, afslab.FS3}
	webs  = []string{afslab.Web1, afslab.Web2, afslab.Web3}
)

// rig is one mirror whose tree is a volume of its own.
type rig struct {
	cell   *afslab.Cell
	volume afslab.Volume
	cfg    tree.Config
	tree   string // its ID
	next   int64  // number of the next generation
	ro     uint64 // ID of the read-only volume, once it was held: a test may take the database away

	mu     sync.Mutex
	offset time.Duration // by which the clock of this mirror is ahead
}

func newRig(t *testing.T, o afslab.Options) *rig {
	t.Helper()
	c := afslab.Up(t)
	r := &rig{cell: c, volume: c.Volume(t, o), next: 1}
	r.cfg = tree.Config{Dir: c.Path(afslab.Writer, r.volume.RW), State: filepath.Join(t.TempDir(), r.volume.Name), Parts: o.Parts, Holder: "test", Now: r.now}
	id, err := tree.Setup(r.cfg, backendtest.Mirror)
	if err != nil {
		t.Fatal(err)
	}
	r.tree = id.Tree
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.offset)
}

// pass lets time go by for this mirror.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offset += d
}

// generation commits and seals the next generation: an index that names
// packages, and these. It returns its number.
func (r *rig) generation(t *testing.T, packages ...string) int64 {
	t.Helper()
	c := content{"dists/Release": fmt.Sprint("release ", r.next), "dists/Index": strings.Join(packages, "\n") + "\n"}
	for _, p := range packages {
		c["pool/"+p] = "content of " + p
		if strings.HasPrefix(p, "big") { // takes a moment to be carried to the sites
			c["pool/"+p] = strings.Repeat(p+" ", 8<<20/len(p))
		}
	}
	if err := backendtest.Commit(r.cfg, c, r.next); err != nil {
		t.Fatal(err)
	}
	r.next++
	return r.next - 1
}

var policy = backend.Policy{Grace: 2 * time.Hour, Every: time.Hour}

// noted runs a command and keeps the process of a vos release in a file, which
// $0 names: vos may be over before a search through all processes finds it.
const noted = `case " $* " in *" vos release "*) echo $$ >"$0" ;; esac; exec "$@"`

func (r *rig) started() string { return r.cfg.State + ".vos" }

// options are those of a worker on the writer.
func (r *rig) options(t *testing.T) afs.Options {
	o := afs.Options{Cell: afs.Cell{Name: afslab.Name, Localauth: true, Enter: append([]string{"sh", "-c", noted, r.started()}, r.enter(t, afslab.DB)...)}, Volume: r.volume.Name, Mirror: backendtest.Mirror,
		Tree: r.tree, State: r.cfg.State, Policy: policy, Holder: t.Name(), Now: r.now}
	for _, part := range r.cfg.Parts {
		o.Parts = append(o.Parts, r.volume.Name+"."+part)
	}
	for i, s := range sites {
		o.Regions = append(o.Regions, afs.Region{Name: fmt.Sprint("region", i+1), Server: r.cell.Addr(s), Partition: "a"})
	}
	o.Listen = func() (net.PacketConn, error) {
		return r.cell.ListenPacket(context.Background(), afslab.Writer, "0.0.0.0:0")
	}
	return o
}

// enter is what stands before a command to run it in a host.
func (r *rig) enter(t *testing.T, host string) []string {
	t.Helper()
	args := r.cell.Command(t.Context(), host, "CMD").Args
	return append([]string{"env", "AFS_CELL_DIR=" + r.cell.Dir}, args[:len(args)-1]...)
}

// source opens the tree for a release.
func (r *rig) source(t *testing.T) backend.Source {
	t.Helper()
	src, done, err := release.From(release.Origin{Storage: mirrorspec.Storage{Root: filepath.Dir(r.cfg.Dir), State: filepath.Dir(r.cfg.State)}, Mirror: filepath.Base(r.cfg.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return src
}

func (r *rig) publish(t *testing.T, o afs.Options) ([]backend.Outcome, error) {
	t.Helper()
	return afs.New(o).Publish(t.Context(), r.source(t))
}

// released publishes and wants every region's clients to see n afterwards.
func (r *rig) released(t *testing.T, n int64) {
	t.Helper()
	r.held(t, n)
	r.served(t, n)
}

// heals publishes, as every cycle does, until every site holds n: servers that
// were started a moment ago are busy with their volumes, or without a quorum.
func (r *rig) heals(t *testing.T, n int64) {
	t.Helper()
	until(t, fmt.Sprint("every site holds generation ", n), func() bool {
		out, err := r.publish(t, r.options(t))
		t.Logf("healing: %+v, %v", out, err)
		if err != nil && !errors.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		return err == nil && !slices.ContainsFunc(out, func(o backend.Outcome) bool { return o.Serves != n || o.Error != "" })
	})
	r.held(t, n)
}

// held publishes and wants every site to hold n afterwards. Clients that read
// the database while a site was flagged stay away from it for ten minutes.
func (r *rig) held(t *testing.T, n int64) {
	t.Helper()
	out, err := r.publish(t, r.options(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Serves != n || o.Error != "" {
			t.Fatalf("after the release of %d: %+v", n, o)
		}
	}
	e := r.entry(t)
	r.readOnly(e)
	if strings.Contains(e, "--") || strings.Contains(e, "LOCKED") || strings.Contains(e, "RClone") {
		t.Fatalf("the database is not clean:\n%s", e)
	}
}

// served looks through every region's own client at the site that it reads.
func (r *rig) served(t *testing.T, n int64) {
	t.Helper()
	for _, web := range webs {
		r.servedAt(t, web, n)
	}
}

func (r *rig) servedAt(t *testing.T, web string, n int64) {
	t.Helper()
	want := fmt.Sprint("release ", n)
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s said last: %s", web, last)
		}
	}()
	until(t, web+" serves "+want, func() bool {
		out, err := r.cell.On(web, "cat", r.volume.RO+"/dists/Release")
		if err != nil && strings.Contains(err.Error(), "timed out") {
			// While a site switches, its volume is off line for a moment. A client
			// without another site to turn to, as only this lab has, then gives the
			// site up for ten minutes: ask the region's file server itself.
			out, err = r.ask(t, web, "dists/Release")
		}
		last = fmt.Sprintf("%q, %v", out, err)
		r.cell.Revive(t, web, err)
		return err == nil && string(out) == want
	})
}

// ask reads a file of the region's site from its file server, past the client.
func (r *rig) ask(t *testing.T, web, name string) ([]byte, error) {
	t.Helper()
	if r.ro == 0 {
		r.readOnly(r.entry(t))
	}
	conn, err := r.cell.ListenPacket(t.Context(), web, "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	c, err := afsread.New(conn)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	server := netip.MustParseAddr(r.cell.Addr(sites[slices.Index(webs, web)]))
	return c.Volume(server, uint32(r.ro)).ReadFile(t.Context(), name, 1<<20)
}

// readOnly takes the ID of the read-only volume from the database's entry.
func (r *rig) readOnly(entry string) {
	for _, l := range strings.Split(entry, "\n") {
		if f := strings.Fields(l); len(f) > 3 && f[2] == "ROnly:" {
			r.ro, _ = strconv.ParseUint(f[3], 10, 32)
		}
	}
}

// vos runs a command with the cell's own key on the database server, as somebody else would.
func (r *rig) vos(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.cell.On(afslab.DB, append([]string{"vos"}, args...)...)
	if err != nil {
		t.Fatalf("vos %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func (r *rig) entry(t *testing.T) string {
	t.Helper()
	return r.vos(t, "listvldb", "-name", r.volume.Name, "-noresolve", "-noauth", "-quiet")
}

// due reports what the ledger says of generation n's drops.
func (r *rig) due(t *testing.T, o afs.Options, n int64) (bool, string) {
	t.Helper()
	due, err := afs.New(o).Due(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return due(n)
}

// confirm records what each region's URL was seen to serve.
func (r *rig) confirm(t *testing.T, o afs.Options, n int64) {
	t.Helper()
	for _, region := range o.Regions {
		if err := afs.New(o).Confirm(t.Context(), region.Name, n); err != nil {
			t.Fatal(err)
		}
	}
}

// tend deletes from the tree what the ledger allows, as the Tend activity does.
func (r *rig) tend(t *testing.T, o afs.Options) tree.Reaped {
	t.Helper()
	tr, err := tree.Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b := afs.New(o)
	due, err := b.Due(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reaped, _, err := tr.Tend(t.Context(), r.now(), time.Minute, func(n int64) bool {
		ok, _ := due(n)
		return ok
	})
	if err == nil && reaped.Objects > 0 {
		err = b.Purged()
	}
	if err != nil {
		t.Fatal(err)
	}
	return reaped
}

// patience is how long a test waits for what another process brings about. It
// tells a hang from a busy machine, on which one attempt can take minutes.
const patience = 10 * time.Minute

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func wantOutcome(t *testing.T, out []backend.Outcome, region string, serves int64, kind string) {
	t.Helper()
	for _, o := range out {
		if o.Region == region {
			if o.Serves != serves || o.Kind != kind {
				t.Errorf("%s: %+v; want generation %d, kind %q", region, o, serves, kind)
			}
			return
		}
	}
	t.Errorf("no outcome for %s in %+v", region, out)
}

// created is when each site's copy was made.
func (r *rig) created(t *testing.T) string {
	t.Helper()
	var all []string
	for _, l := range strings.Split(r.vos(t, "examine", r.volume.Name+".readonly", "-format", "-noauth", "-noresolve"), "\n") {
		if strings.HasPrefix(l, "creationDate") {
			all = append(all, l)
		}
	}
	return strings.Join(all, "\n")
}
