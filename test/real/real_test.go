// Package real_test has real apt-get, pip and uv install real packages from a region.
package real_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// TestMain leaves everything out with -short: these tests need the network once.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(0)
	}
	lab.Main(m)
}

// world is an upstream of what was downloaded, and a region that mirrors it.
type world struct {
	t        *testing.T
	in       string // see input
	debs     []deb
	projects map[string]lab.Object
	old      lab.Object // older version of changedProject
	arch     string
	date     time.Time
	u        *lab.Upstream
	h        *lab.House
}

// settle is how long a client may keep an index; promise 1 adds it to the grace.
const settle = time.Second

func newWorld(t *testing.T, grace time.Duration) *world {
	t.Helper()
	in := input(t)
	w := &world{t: t, in: in, debs: readDebs(t, filepath.Join(in, "debs")), projects: readProjects(t, filepath.Join(in, "projects")),
		old: readProjects(t, filepath.Join(in, "old"))[changedProject], date: time.Now().Add(-24 * time.Hour).Truncate(time.Second), u: lab.NewUpstream(t)}
	arch, err := run(machine(), "dpkg", "--print-architecture")
	if err != nil {
		t.Fatal(err)
	}
	w.arch = strings.TrimSpace(arch)
	w.publish(without(w.debs, laterPackage)...)
	for name, o := range w.projects {
		switch name {
		case changedProject:
			w.u.Objects(name, w.old)
		case laterProject:
		default:
			w.u.Objects(name, o)
		}
	}
	w.h = lab.New(t, lab.Options{Regions: []string{"here"}, Every: "20s", MaxAge: settle.String(),
		Mirrors: strings.ReplaceAll(w.u.AptMirror("debian", grace.String()), `"amd64"`, fmt.Sprintf("%q", w.arch)) + w.u.PyPIMirror("pypi", grace.String())})
	w.cycle(workflows.Done, workflows.Done)
	return w
}

// publish makes these the packages that upstream has.
func (w *world) publish(debs ...deb) {
	w.t.Helper()
	w.u.Archive(archive(w.t, debs, w.release(), w.u.Key()))
}

// release is the next publication's.
func (w *world) release() debrepo.Release {
	w.date = w.date.Add(time.Minute)
	return debrepo.Release{Date: w.date, Architectures: []string{w.arch}}
}

// cycle runs one, wants these outcomes of debian and pypi, and counts the releases.
func (w *world) cycle(want ...workflows.Outcome) (releases int) {
	w.t.Helper()
	r := w.h.Cycle()
	for i, m := range r.Mirrors {
		if m.Outcome != want[i] {
			w.t.Fatalf("%s is %s (%s %v), want %s", m.Mirror, m.Outcome, m.Error, m.Reasons, want[i])
		}
		for _, region := range m.Regions {
			if region.Error != "" {
				w.t.Fatalf("%s: %s", m.Mirror, region.Error)
			}
			if region.Outcome != workflows.Unchanged {
				releases++
			}
		}
	}
	return releases
}

func (w *world) url() string { return w.h.Regions["here"].URL }

func (w *world) index() string { return w.url() + "/pypi/simple/" }

func (w *world) apt() *apt {
	w.t.Helper()
	return newApt(w.t, w.arch, w.url()+"/debian", w.u.Keyring)
}

// pin is the requirement that a lock file keeps: a URL and its digest.
func (w *world) pin(name string, o lab.Object) string {
	path := o.Path()
	digest := strings.ReplaceAll(strings.TrimPrefix(filepath.Dir(path), "/packages/"), "/", "")
	return fmt.Sprintf("%s @ %s/pypi%s#sha256=%s", name, w.url(), path, digest)
}

// modules is what the projects are called in Python, where that differs.
var modules = map[string]string{"attrs": "attr", "charset-normalizer": "charset_normalizer", "pyyaml": "yaml", "typing-extensions": "typing_extensions"}

// everything returns all projects of upstream's first state, and their modules.
func everything() (names, imports []string) {
	names = append(strings.Fields(wheels), sdist)
	for _, n := range names {
		m, ok := modules[n]
		if !ok {
			m = n
		}
		imports = append(imports, m)
	}
	return names, imports
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// fails wants a client to refuse, and to say why.
func fails(t *testing.T, what, why string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it succeeded", what)
	} else if !strings.Contains(err.Error(), why) {
		t.Errorf("%s: it failed for another reason than %q: %v", what, why, err)
	}
}

// TestLifeOfAPackage installs everything, lets upstream drop, change and add
// packages once and fall silent, and sees with the same clients what is there when.
func TestLifeOfAPackage(t *testing.T) {
	t.Parallel()
	const grace = 20 * time.Second
	w := newWorld(t, grace)
	was, gone, later := find(t, w.debs, changedPackage), find(t, w.debs, gonePackage), find(t, w.debs, laterPackage)
	client := w.apt()
	must(t, client.update())
	t.Run("apt-get installs 20 packages", func(t *testing.T) { w.installs(t, client) })
	installers := newInstallers(t, w.in)
	for _, i := range installers {
		t.Run(i.name+" installs 20 projects", func(t *testing.T) {
			names, imports := everything()
			must(t, i.gets(w.index(), names, append(imports, changedProject+"=="+w.old.Version)))
		})
	}

	is := newer(t, was, "+real1")
	before := time.Now()
	w.change(is)
	if got := w.cycle(workflows.Done, workflows.Done); got != 2 {
		t.Fatalf("%d releases", got)
	}
	after := time.Now()
	if got := w.cycle(workflows.Unchanged, workflows.Unchanged); got != 0 {
		t.Fatalf("%d releases of nothing", got)
	}
	pins := []string{w.pin(changedProject, w.old), w.pin(goneProject, w.projects[goneProject])}

	// Clients that know only what was: everything is still there.
	must(t, client.gets(was), client.gets(gone))
	for _, i := range installers {
		must(t, i.gets(w.index(), pins, []string{changedProject + "==" + w.old.Version, goneProject}))
	}
	fresh := w.apt()
	must(t, fresh.update())
	served := func(t *testing.T) {
		must(t, fresh.gets(is), fresh.gets(later))
		fails(t, "a dropped package", "Unable to locate package", fresh.gets(gone))
		for _, i := range installers {
			w.serves(t, i)
		}
	}
	t.Run("new ones are served", served)

	dropped := []string{"/debian/" + was.path(), "/debian/" + gone.path(), "/pypi" + w.old.Path(), "/pypi" + w.old.Path() + ".metadata",
		"/pypi" + w.projects[goneProject].Path()}
	w.quiet(dropped, before.Add(grace+settle), after.Add(grace+settle))
	for _, d := range []deb{was, gone} {
		fails(t, "a reaped package", "404", client.gets(d))
	}
	for _, i := range installers {
		for _, p := range pins {
			fails(t, i.name+": a reaped file", "404", i.gets(w.index(), []string{p}, nil))
		}
	}
	t.Run("new ones are served to the end", served)
}

// change drops, replaces and adds a package and a project.
func (w *world) change(is deb) {
	w.t.Helper()
	w.publish(append(without(without(w.debs, changedPackage), gonePackage), is)...)
	w.u.Objects(changedProject, w.projects[changedProject])
	w.u.Objects(goneProject)
	w.u.Objects(laterProject, w.projects[laterProject])
}

// serves wants what pip or uv see after the change.
func (w *world) serves(t *testing.T, i *installer) {
	t.Helper()
	is, was := changedProject+"=="+w.projects[changedProject].Version, changedProject+"=="+w.old.Version
	must(t, i.gets(w.index(), []string{changedProject, laterProject}, []string{is, laterProject}))
	fails(t, i.name+": a dropped version", was, i.gets(w.index(), []string{was}, nil))
	fails(t, i.name+": a dropped project", goneProject, i.gets(w.index(), []string{goneProject}, nil))
}

// quiet runs 20 cycles, and as many as it takes to pass due, in which nothing is
// new. The dropped paths are all there before early, and none after the first
// cycle that began after due. Nothing is released for that.
func (w *world) quiet(dropped []string, early, due time.Time) {
	w.t.Helper()
	releases := 0
	seen := map[string]int{}
	tick := time.NewTicker(time.Second) // the grace is real time: there is no event to wait for
	defer tick.Stop()
	for n, last := 0, false; n < 20 || !last; n++ {
		last = time.Now().After(due)
		releases += w.cycle(workflows.Unchanged, workflows.Unchanged)
		for _, p := range dropped {
			status := w.h.Status("here", p)
			seen[p] = status
			switch {
			case time.Now().Before(early) && status != http.StatusOK:
				w.t.Fatalf("%s: %d, %s too early", p, status, time.Until(early))
			case last && status != http.StatusNotFound:
				w.t.Fatalf("%s: %d, %s after it was due", p, status, time.Since(due))
			}
		}
		<-tick.C
	}
	if releases > 1 {
		w.t.Errorf("%d releases although upstream was quiet", releases)
	}
	w.t.Logf("%d releases; at the end %v", releases, slices.Sorted(maps.Values(seen)))
}
