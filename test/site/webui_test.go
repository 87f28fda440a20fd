package site_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

func TestMain(m *testing.M) { lab.Main(m) }

// page is what to look at, and how.
type page struct {
	URL           string
	Name          string   // of the picture
	Click         []string // selectors
	Wait          []string // texts
	Remove        []string // selectors
	Element       string   // the part of the page that is pictured
	Width, Height int
	Scheme        string
	Storage       map[string]string // the browser's
	Hide          [][2]string       // texts, and those in their place
	File          string
	Patience      int64 // milliseconds
}

// browser opens pages, and keeps pictures of them where MIRRORCYCLE_SHOTS says.
type browser struct {
	t             *testing.T
	node, program string
	dir           string
	hide          [][2]string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{t: t, dir: os.Getenv("MIRRORCYCLE_SHOTS")}
	b.node, b.program = chromium(t)
	return b
}

// maxPicture keeps the repository small.
const maxPicture = 200_000

// open opens a page and returns what it says.
func (b *browser) open(p page) string {
	b.t.Helper()
	p.Hide, p.Patience = b.hide, lab.Patience.Milliseconds()
	if b.dir != "" && p.Name != "" {
		p.File = filepath.Join(b.dir, p.Name+".png")
	}
	order, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.t.Context(), b.node, filepath.Join(lab.Root(), "test/site/shoot.cjs"), b.program, string(order))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var said struct {
		Text      string
		Elsewhere []string
	}
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil {
		b.t.Fatalf("%s: %v", p.URL, err)
	}
	if len(said.Elsewhere) > 0 {
		b.t.Errorf("%s asks elsewhere: %v", p.URL, said.Elsewhere)
	}
	if p.File != "" {
		b.judge(p, said.Text)
	}
	return said.Text
}

// judge tells whether a picture may be shown to everybody.
func (b *browser) judge(p page, text string) {
	b.t.Helper()
	host, _ := os.Hostname()
	for _, private := range []string{os.TempDir() + "/", "@" + host} {
		if strings.Contains(text, private) {
			b.t.Errorf("%s shows %q:\n%s", p.File, private, text)
		}
	}
	if st, err := os.Stat(p.File); err != nil || st.Size() > maxPicture {
		b.t.Errorf("%s: %v bytes, at most %d: %v", p.File, st.Size(), maxPicture, err)
	}
}

// columns of the list of workflows; those of the search attributes are added by hand.
func columns(names ...string) map[string]string {
	var all []map[string]string
	for _, n := range names {
		all = append(all, map[string]string{"label": n})
	}
	text, _ := json.Marshal(map[string]any{"default": all})
	return map[string]string{"namespace-workflow-table-columns": string(text)}
}

// big is a package whose download takes a while to see.
func big(name, version string) debrepotest.Package {
	p := lab.Deb(name, version)
	text := make([]byte, 0, 200_000)
	for x := uint32(len(name)); len(text) < cap(text); x = x*1664525 + 1013904223 {
		text = append(text, byte('!'+x>>24%90))
	}
	p.Deb.Files = map[string]string{"/usr/share/doc/" + name + "/text": string(text)}
	return p
}

// typed runs starter on a terminal of some columns.
func typed(t *testing.T, h *lab.House, columns int, command string) *lab.Process {
	t.Helper()
	_, err := exec.LookPath("script")
	lab.Need(t, "script (bsdutils) is not installed", err == nil)
	line := fmt.Sprintf("stty cols %d rows 50; exec %s", columns, strings.Replace(command, "starter", lab.Program(t, "starter"), 1))
	cmd := exec.Command("script", "-qec", line, "/dev/null")
	cmd.Env = lab.Environ("TERM=xterm-256color", "TEMPORAL_ADDRESS="+h.Address, "MIRRORCYCLE_SPEC="+filepath.Join(h.Dir, "mirrors.toml"))
	return lab.Spawn(t, cmd)
}

// show keeps a picture of a terminal.
func (b *browser) show(name, command, text string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "terminal.html")
	if err := os.WriteFile(file, []byte(terminal(command, text, b.hide)), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.open(page{URL: "file://" + file, Name: name, Element: "pre", Width: 1400, Height: 900, Wait: []string{"$ "}})
}

// TestWebUI runs cycles through a schedule and looks at them in Temporal's Web
// UI, on a terminal and on the status page: while they run, and a held mirror.
func TestWebUI(t *testing.T) {
	b := newBrowser(t)
	debian, ubuntu, pypi := lab.NewUpstream(t), lab.NewUpstream(t), lab.NewUpstream(t)
	var packages []debrepotest.Package
	for i := range 60 {
		packages = append(packages, big(fmt.Sprintf("package%02d", i), "1.0"))
	}
	debian.Debs(packages...)
	ubuntu.Debs(packages[:12]...)
	for _, name := range []string{"nova", "glance", "keystone", "oslo-config"} {
		pypi.Project(name, "1.0", "2.0")
	}
	h := lab.New(t, lab.Options{Name: "openstack", Every: "2h", Regions: []string{"dfw", "ord"},
		Mirrors: debian.AptMirror("debian", "72h") + ubuntu.AptMirror("ubuntu", "72h") + pypi.PyPIMirror("pypi", "24h")})
	b.hide = [][2]string{{h.Dir, "/srv/mirror"}, {filepath.Dir(debian.Keyring), "/etc/mirrorcycle"}, {filepath.Dir(ubuntu.Keyring), "/etc/mirrorcycle"}}
	ui := lab.WebUI() + "/namespaces/default/"

	// A cycle in the middle of a download.
	var asked atomic.Int32
	half, pass := make(chan struct{}), make(chan struct{})
	debian.SetGate(func(path string) {
		if strings.HasSuffix(path, ".deb") {
			if n := asked.Add(1); n > 35 {
				if n == 36 {
					close(half)
				}
				<-pass
			}
		}
	})
	typed(t, h, 100, "starter schedule apply").Wait()
	run := typed(t, h, 100, "starter run")
	<-half
	run.Await(`debian +\x1b\[36mfetch.*[1-9]\d/64`)
	for range 5 { // seen one after the other, they make a rate
		pass <- struct{}{}
	}
	run.Await(`debian +\x1b\[36mfetch.*[1-9]\d/64.*[1-9][\d.]* [kM]B/s`)
	run.Await(`2 of 3 mirrors ended`)
	b.show("terminal-run", "starter run mirrors.toml", run.String())
	cycle := runOf(t, h)
	at := func(id, tab string) string { return ui + "workflows/" + url.PathEscape(id) + tab }
	metadata := []string{"text=User Metadata"}
	b.open(page{URL: at(cycle, ""), Name: "cycle-running", Click: metadata, Wait: []string{"2 of 3 mirrors ended", "cycle of openstack", "debian, ubuntu, pypi"}, Width: 1400, Height: 960})
	b.open(page{URL: at(mirrorOf(t, h, "debian"), ""), Name: "mirror-running", Click: metadata, Wait: []string{"fetching 64 objects", "refresh debian", "guard 20% and 100"}, Width: 1280, Height: 860})
	close(pass)
	if code := run.Wait(); code != 0 {
		t.Fatalf("starter run: exit status %d\n%s", code, run)
	}

	// Upstream removes nearly everything of one mirror.
	ubuntu.Debs(packages[:1]...)
	debian.Debs(append(packages[1:], big("package00", "1.1"))...)
	run = typed(t, h, 100, "starter run")
	if code := run.Wait(); code != 4 {
		t.Fatalf("starter run: exit status %d\n%s", code, run)
	}
	b.show("terminal-held", "starter run mirrors.toml", run.String())
	cycle = runOf(t, h)
	b.open(page{URL: ui + "workflows", Name: "workflows", Wait: []string{cycle, "held"}, Width: 1400, Height: 800,
		Storage: columns("Status", "Workflow ID", "MirrorName", "MirrorRegion", "MirrorOutcome", "MirrorGeneration")})
	b.open(page{URL: at(cycle, ""), Name: "cycle-timeline", Remove: []string{"[data-testid=input-and-result]"}, Wait: []string{"wait for the mirrors", "apt mirror ubuntu"}, Width: 1400, Height: 900})
	b.open(page{URL: at(cycle, ""), Name: "cycle-held", Click: metadata, Wait: []string{"starter approve", "cycle of openstack"}, Width: 1400, Height: 1080})
	b.open(page{URL: at(mirrorOf(t, h, "ubuntu"), ""), Name: "mirror-held", Click: metadata, Wait: []string{"starter approve ubuntu"}, Width: 1280, Height: 860})
	b.open(page{URL: ui + "schedules/" + url.PathEscape(h.CycleID()), Name: "schedule", Remove: []string{"section:has(.readOnly)"}, Wait: []string{"Recent Runs"}, Width: 1280, Height: 1000})

	// What the region says of itself.
	status := page{URL: h.Regions["dfw"].URL + "/", Name: "status-light", Wait: []string{"ubuntu waits for your approval"}, Width: 1000, Height: 1200}
	b.open(status)
	status.Name, status.Scheme = "status-dark", "dark"
	b.open(status)
	status.Name, status.Scheme, status.Width, status.Height = "status-phone", "light", 390, 1120
	b.open(status)
}

// runOf is the workflow that the schedule started last.
func runOf(t *testing.T, h *lab.House) string {
	t.Helper()
	d, err := h.Client.ScheduleClient().GetHandle(t.Context(), h.CycleID()).Describe(t.Context())
	if err != nil || len(d.Info.RecentActions) == 0 {
		t.Fatalf("no run of the schedule: %v", err)
	}
	return d.Info.RecentActions[len(d.Info.RecentActions)-1].StartWorkflowResult.WorkflowID
}

func mirrorOf(t *testing.T, h *lab.House, name string) string {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(h.Spec.StateDir(name), "id"))
	var served struct{ Tree string }
	if err == nil {
		err = json.Unmarshal(id, &served)
	}
	if err != nil {
		t.Fatal(err)
	}
	return workflows.RefreshID(served.Tree)
}

// TestUpOnATerminal is the picture of starter up.
func TestUpOnATerminal(t *testing.T) {
	b := newBrowser(t)
	dir := t.TempDir()
	b.hide = [][2]string{{dir, "/home/you"}}
	line := "stty cols 110 rows 50; exec " + lab.Program(t, "starter") + " up --demo --demo-step 3s"
	cmd := exec.Command("script", "-qec", line, "/dev/null")
	cmd.Dir, cmd.Env = dir, lab.Environ("TERM=xterm-256color")
	up := lab.Spawn(t, cmd)
	up.Await(`generation 2(.|\n)*upstream: `)
	if lines := strings.Join(screen(up.String()), "\n"); strings.Contains(lines, colors["36"]) {
		t.Errorf("what was drawn while the first cycle ran is still there:\n%s", lines)
	}
	b.show("terminal-up", "starter up", up.String())
	up.End(syscall.SIGTERM)
}
