package wheels_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheels"
)

func pin(s string) wheels.Pin {
	p, err := wheels.ParsePin(s)
	if err != nil {
		panic(err)
	}
	return p
}

func pins(all ...string) (out []wheels.Pin) {
	for _, s := range all {
		out = append(out, pin(s))
	}
	return out
}

// names lists what a page of the merged index offers, with where each file is.
func (b *bench) page(platform, project string) map[string]string {
	b.tb.Helper()
	dir := wheels.PageDir(platform, project)
	data, err := os.ReadFile(filepath.Join(b.Dir, "tree", dir, simpleindex.V1JSONName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	p, err := simpleindex.ParseProject(data, project, "http://mirror.example.org/wheels/"+dir+"/")
	if err != nil {
		b.tb.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range p.Files {
		u, _ := url.Parse(f.URL)
		out[f.Filename] = strings.Split(u.Path, "/")[1]
	}
	return out
}

func TestMergedIndex(t *testing.T) {
	b := newBench(t)
	b.add("pure", "pure-1.0.tar.gz", "pure-0.9.tar.gz")
	b.add("native", "native-2.0.tar.gz", "native-2.0-cp312-cp312-manylinux_2_17_x86_64.whl")
	b.add("there", "there-3.0.tar.gz", "there-3.0-py3-none-any.whl")
	b.publish()
	for _, p := range platformNames {
		b.wanted[p] = pins("pure===1.0", "native===2.0", "there===3.0")
	}
	if r := b.Cycle(b.engine); r.Number != 0 || r.Err != nil {
		t.Fatalf("with nothing built: %+v", r)
	}
	built := 0
	for _, p := range []string{"d12", "d13", "d12"} {
		built += b.build(p, func(j wheels.Job) (string, string, string) {
			if j.Name == "native" {
				python := map[string]string{"d12": "cp311", "d13": "cp313"}[p]
				return wheelOf(j.Name, j.Version, python+"-"+python+"-linux_x86_64")
			}
			return pure(j)
		})
	}
	if built != 3 {
		t.Errorf("%d builds, want native on each platform and pure once", built)
	}
	r := b.Cycle(b.engine)
	if r.Err != nil || r.Number != 1 {
		t.Fatalf("%+v", r)
	}
	for platform, tag := range map[string]string{"d12": "cp311-cp311", "d13": "cp313-cp313"} {
		want := map[string]string{"native-2.0.tar.gz": "pypi", "native-2.0-cp312-cp312-manylinux_2_17_x86_64.whl": "pypi",
			"native-2.0-1mc-" + tag + "-linux_x86_64.whl": "wheels"}
		if diff := cmp.Diff(want, b.page(platform, "native")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", platform, diff)
		}
		want = map[string]string{"pure-1.0.tar.gz": "pypi", "pure-0.9.tar.gz": "pypi", "pure-1.0-1mc-py3-none-any.whl": "wheels"}
		if diff := cmp.Diff(want, b.page(platform, "pure")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", platform, diff)
		}
		if b.page(platform, "there") != nil {
			t.Errorf("%s: a project without own wheels has a page", platform)
		}
		if log := b.Read(wheels.LogPath(platform, pin("native===2.0"))); !strings.Contains(log, "native-2.0.tar.gz on "+platform) {
			t.Errorf("%s: log %q", platform, log)
		}
	}
	if r := b.Cycle(b.engine); r.Digest != "" || r.Err != nil {
		t.Errorf("a second cycle is not quiet: %+v", r)
	}
	for _, p := range platformNames {
		if n := b.build(p, broken); n != 0 {
			t.Errorf("%d builds on %s in a second cycle", n, p)
		}
	}

	b.wanted["d12"] = pins("native===2.0")
	if r := b.Cycle(b.engine); r.Err != nil || r.Info.Drops != 0 || b.page("d12", "pure") != nil || b.page("d13", "pure") == nil {
		t.Errorf("a platform that no longer wants a pin: %+v", r)
	}
	b.wanted["d13"] = pins("native===2.0")
	if r := b.Cycle(b.engine); r.Err != nil || r.Info.Drops != 2 {
		t.Errorf("a pin that nobody wants any more: %+v, want the wheel and its metadata dropped", r.Info)
	}
	b.status["native"] = simpleindex.Quarantined
	b.publish()
	if r := b.Cycle(b.engine); r.Err != nil || b.page("d12", "native") != nil {
		t.Errorf("an own wheel of a project in quarantine: %+v", r)
	}
}

// TestUpstreamWheelLater builds a pin whose wheel comes two days after its source.
func TestUpstreamWheelLater(t *testing.T) {
	b := newBench(t)
	b.add("late", "late-1.0.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("late===1.0")
	b.build("d12", compiled("cp311-cp311-linux_x86_64"))
	if got := states(b.survey("d12", false)); got != "late===1.0 built" {
		t.Fatal(got)
	}
	b.add("late", "late-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
	b.publish()
	b.now = b.now.Add(13 * 24 * time.Hour)
	if got := states(b.survey("d12", false)); got != "late===1.0 upstream" {
		t.Errorf("within 14 days: %s", got)
	}
	b.now = b.now.Add(2 * 24 * time.Hour)
	if got := states(b.survey("d12", false)); got != "late===1.0 built" {
		t.Errorf("after 14 days: %s", got)
	}
}

func TestStates(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz", "a-2.tar.gz")
	b.add("b", "b-1.zip")
	b.add("c", "c-1-cp311-abi3-musllinux_1_2_x86_64.whl", "c-1.tar.gz")
	b.publish()
	want := func(when, want string) {
		t.Helper()
		if got := states(b.survey("d12", false)); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	b.wanted["d12"] = pins("c===1", "b===1", "a===1", "gone===1", "b===1")
	want("at first, the largest source first", "a===1 due, c===1 due, b===1 due, gone===1 failed")
	b.build("d12", func(j wheels.Job) (string, string, string) {
		if j.Name == "b" {
			return broken(j)
		}
		return wheelOf(j.Name, j.Version, "cp311-cp311-linux_x86_64")
	})
	want("after builds", "a===1 built, b===1 failed, c===1 built, gone===1 failed")
	b.now = b.now.Add(3 * time.Hour)
	want("a failure is due again", "b===1 due, a===1 built, c===1 built, gone===1 failed")
	b.wanted["d12"] = pins("a===2", "b===1", "new===1")
	b.add("new", "new-1.tar.gz")
	b.publish()
	want("changed pins first, then new ones, then failures", "a===2 due, new===1 due, b===1 due")
	b.build("d12", broken)
	b.now = b.now.Add(3 * time.Hour)
	want("failures back off", "new===1 due, a===2 due, b===1 failed")
	for _, f := range []func() error{
		func() error { return b.store.Skip("d12", pin("a===2"), "needs a header", time.Time{}) },
		func() error { return b.store.Skip("d12", pin("new===1"), "for now", b.now.Add(time.Hour)) },
		func() error { return b.store.Retry("d12", pin("b===1")) },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	want("skipped and asked for", "b===1 due, a===2 skipped, new===1 skipped")
	b.now = b.now.Add(2 * time.Hour)
	want("a skip that is over", "b===1 due, new===1 due, a===2 skipped")
	if err := b.store.Retry("d12", pin("a===2")); err != nil {
		t.Fatal(err)
	}
	want("no longer skipped", "a===2 due, b===1 due, new===1 due")
}

// TestDeliveriesAreNotTrusted hands in what a hostile build may leave in its inbox.
func TestDeliveriesAreNotTrusted(t *testing.T) {
	_, good, _ := wheelOf("a", "1", "py3-none-any")
	cases := map[string]func(t *testing.T, dir string, d *wheels.Delivery){
		"another project": func(t *testing.T, dir string, d *wheels.Delivery) { put(t, dir, d, "b", "1", "py3-none-any") },
		"another version": func(t *testing.T, dir string, d *wheels.Delivery) { put(t, dir, d, "a", "2", "py3-none-any") },
		"another platform": func(t *testing.T, dir string, d *wheels.Delivery) {
			put(t, dir, d, "a", "1", "cp310-cp310-linux_x86_64")
		},
		"no wheel at all": func(t *testing.T, dir string, d *wheels.Delivery) { d.File = "a-1-py3-none-any.whl" },
		"another digest": func(t *testing.T, dir string, d *wheels.Delivery) {
			put(t, dir, d, "a", "1", "py3-none-any")
			d.SHA256 = sum("x")
		},
		"a link": func(t *testing.T, dir string, d *wheels.Delivery) { link(t, dir, d, good) },
		"a path": func(t *testing.T, dir string, d *wheels.Delivery) {
			put(t, dir, d, "a", "1", "py3-none-any")
			d.File = "../" + d.Attempt + "/" + d.File
		},
		"a hard link": func(t *testing.T, dir string, d *wheels.Delivery) {
			outside := filepath.Join(filepath.Dir(dir), "outside")
			d.File, d.SHA256 = "a-1-py3-none-any.whl", write(t, outside, good)
			if err := os.Link(outside, filepath.Join(dir, d.File)); err != nil {
				t.Fatal(err)
			}
		},
		"a pipe": func(t *testing.T, dir string, d *wheels.Delivery) {
			d.File = "a-1-py3-none-any.whl"
			if err := syscall.Mkfifo(filepath.Join(dir, d.File), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"a file below a link": func(t *testing.T, dir string, d *wheels.Delivery) {
			if err := os.Symlink(t.TempDir(), filepath.Join(dir, "sub")); err != nil {
				t.Fatal(err)
			}
			d.File = "sub/a-1-py3-none-any.whl"
		},
		"a directory": func(t *testing.T, dir string, d *wheels.Delivery) {
			d.File = "a-1-py3-none-any.whl"
			mkdir(t, filepath.Join(dir, d.File))
		},
		"something else": func(t *testing.T, dir string, d *wheels.Delivery) {
			d.File, d.SHA256 = "build.log", sum("log of a-1.tar.gz on d12\n")
		},
		"a torn wheel": func(t *testing.T, dir string, d *wheels.Delivery) {
			d.File = "a-1-py3-none-any.whl"
			d.SHA256 = write(t, filepath.Join(dir, d.File), good[:len(good)/2])
		},
		"a record that lies": func(t *testing.T, dir string, d *wheels.Delivery) {
			d.File = "a-1-py3-none-any.whl"
			d.SHA256 = write(t, filepath.Join(dir, d.File), strings.Replace(good, "# for py3", "# for PY3", 1))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.add("a", "a-1.tar.gz")
			b.publish()
			b.wanted["d12"] = pins("a===1")
			job := wheels.Jobs(b.survey("d12", true))[0]
			d := b.deliver("d12", job, broken)
			d.Class = ""
			spoil(t, b.store.Inbox("d12", d.Attempt), &d)
			r, err := b.store.Ingest("d12", b.platforms(), noPages, job, d)
			if err != nil || r.State != wheels.Failed || r.Message == "" {
				t.Errorf("%+v %v, want a failure", r, err)
			}
			if left, _ := filepath.Glob(filepath.Join(b.Dir, "state", "built", "*")); len(left) > 0 {
				t.Errorf("kept: %v", left)
			}
			if left, _ := os.ReadDir(b.store.Inbox("d12", d.Attempt)); len(left) > 0 {
				t.Error("the inbox is not cleared")
			}
		})
	}
}

func put(t *testing.T, dir string, d *wheels.Delivery, name, version, tags string) {
	t.Helper()
	file, content, _ := wheelOf(name, version, tags)
	d.File, d.SHA256 = file, write(t, filepath.Join(dir, file), content)
}

func link(t *testing.T, dir string, d *wheels.Delivery, content string) {
	t.Helper()
	outside := filepath.Join(t.TempDir(), "a.whl")
	d.File, d.SHA256 = "a-1-py3-none-any.whl", write(t, outside, content)
	if err := os.Symlink(outside, filepath.Join(dir, d.File)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string) (digest string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return sum(content)
}

// TestIngestTwice delivers the same build twice, and another one of the same
// job: the first wheel counts, and a failure is counted once.
func TestIngestTwice(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz", "a-1-1mc-py3-none-win32.whl")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	_, x := b.open()
	job := wheels.Jobs(b.survey("d12", true))[0]
	ingest := func(d wheels.Delivery) wheels.Record {
		t.Helper()
		r, err := b.store.Ingest("d12", b.platforms(), x.Page, job, d)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	failed := b.deliver("d12", job, broken)
	if a, c := ingest(failed), ingest(failed); !a.Next.Equal(c.Next) || b.survey("d12", true)[0].Attempts != 1 {
		t.Errorf("one failure counts twice: %+v %+v", a, c)
	}
	for _, again := range []struct {
		class string
		known bool
	}{{failed.Class, true}, {"another", false}, {"another", true}} {
		b.now = b.now.Add(time.Minute)
		d := b.deliver("d12", job, broken)
		d.Class = again.class
		for range 2 { // a delivery that comes twice is not its own predecessor
			if r := ingest(d); r.Known != again.known || r.Class != again.class {
				t.Errorf("a failure of class %s: %+v", again.class, r)
			}
		}
	}
	b.now = b.now.Add(time.Minute)
	first := b.deliver("d12", job, pure)
	a := ingest(first)
	b.now = b.now.Add(time.Minute)
	second := b.deliver("d12", job, compiled("cp311-cp311-linux_x86_64"))
	if c := ingest(second); c.File != a.File || c.SHA256 != a.SHA256 {
		t.Errorf("a wheel that is there was built again: %+v, then %+v", a, c)
	}
	if a.File != "a-1-1mc-py3-none-any.whl" {
		t.Errorf("named %s", a.File)
	}
	// A wheel that was lost is built anew: other bytes get a name that no client knows.
	if err := os.Remove(filepath.Join(b.Dir, "state", "built", a.SHA256)); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Minute)
	third := b.deliver("d12", job, with("other.py", "x = 1"))
	if c := ingest(third); c.File != "a-1-2mc-py3-none-any.whl" {
		t.Errorf("the second wheel is named %s", c.File)
	}
}

func TestPins(t *testing.T) {
	for in, want := range map[string]string{"MarkupSafe===2.1.5": "markupsafe===2.1.5", "a_b==1": "a-b===1", "a": "", "a===": "", "../x===1": "", "a===1/2": ""} {
		p, err := wheels.ParsePin(in)
		if want == "" {
			if !errors.Is(err, fault.Config) {
				t.Errorf("%s: %v", in, err)
			}
		} else if err != nil || p.String() != want {
			t.Errorf("%s: %v %v", in, p, err)
		}
	}
}

func TestRowsAsJSON(t *testing.T) {
	data, err := json.Marshal(wheels.Row{Pin: pin("a===1"), Platform: "d12", State: wheels.Failed, Class: "compile"})
	if want := `{"name":"a","version":"1","platform":"d12","state":"failed","class":"compile"}`; err != nil || string(data) != want {
		t.Errorf("%s %v", data, err)
	}
	for n, want := range map[int]time.Duration{1: 2 * time.Hour, 2: 4 * time.Hour, 7: 128 * time.Hour, 8: 168 * time.Hour, 1000: 168 * time.Hour} {
		if got := wheels.Backoff(n); got != want {
			t.Errorf("%d failures wait %s, want %s", n, got, want)
		}
	}
}

// TestUnwantedWheelsGo lets go of a pin: its wheel stays for 30 days, in case it comes back.
func TestUnwantedWheelsGo(t *testing.T) {
	b := newBench(t)
	b.now = time.Now()
	b.add("a", "a-1.tar.gz")
	b.add("b", "b-1.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("a===1", "b===1")
	b.build("d12", compiled("cp311-cp311-linux_x86_64"))
	kept := func(when string, want int) {
		t.Helper()
		if _, err := b.store.Tend(b.platforms()); err != nil {
			t.Fatal(err)
		}
		built, _ := filepath.Glob(filepath.Join(b.Dir, "state/built/*"))
		logs, _ := filepath.Glob(filepath.Join(b.Dir, "state/logs/*"))
		if len(built) != want || len(logs) != want {
			t.Errorf("%s: %d wheels and %d logs, want %d", when, len(built), len(logs), want)
		}
	}
	kept("at first", 2)
	b.now = b.now.Add(60 * 24 * time.Hour)
	kept("wanted for long", 2)
	b.wanted["d12"] = pins("a===1")
	kept("no longer wanted", 2)
	b.now = b.now.Add(29 * 24 * time.Hour)
	kept("not wanted for 29 days", 2)
	b.now = b.now.Add(2 * 24 * time.Hour)
	kept("not wanted for 31 days", 1)
	if got := states(b.survey("d12", true)); got != "a===1 built" {
		t.Error(got)
	}
}

// TestInboxesOfLongBuildsStay: a build that may take days hands its wheel over
// in the end, however often somebody plans meanwhile.
func TestInboxesOfLongBuildsStay(t *testing.T) {
	b := newBench(t)
	const longest = 48 * time.Hour
	if err := b.store.Ready("d12", longest); err != nil {
		t.Fatal(err)
	}
	inbox := b.store.Inbox("d12", "run-7-1")
	if err := errors.Join(os.Mkdir(inbox, 0o755), os.Chtimes(inbox, b.now, b.now)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		later time.Duration
		want  bool
	}{{47 * time.Hour, true}, {71 * time.Hour, true}, {73 * time.Hour, false}} {
		now := b.now.Add(tc.later)
		s := wheels.Store{State: b.store.State, Now: func() time.Time { return now }}
		if err := s.Ready("d12", longest); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(inbox); (err == nil) != tc.want {
			t.Errorf("after %v: %v, want it to be there: %v", tc.later, err, tc.want)
		}
	}
}
