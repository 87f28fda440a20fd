package wheels_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
)

// library is the name that code for ctypes has in a wheel, whatever its tags say.
const library = "native/libnative.so"

// kinds builds one wheel of each kind; what a library holds depends on the platform.
func kinds(platform string) func(wheels.Job) (string, string, string) {
	python := map[string]string{"d12": "cp311", "d13": "cp313"}[platform]
	return func(j wheels.Job) (string, string, string) {
		switch j.Name {
		case "ctypes":
			return with(library, "code for "+platform)(j)
		case "abi3":
			return wheelOf(j.Name, j.Version, python+"-abi3-linux_x86_64")
		case "native":
			return wheelOf(j.Name, j.Version, python+"-"+python+"-linux_x86_64")
		}
		return pure(j)
	}
}

// buildAs builds what is due; the source of a project called dynamic does not
// promise the same dependencies everywhere.
func (b *bench) buildAs(platform string, make func(wheels.Job) (file, content, class string)) (names []string) {
	b.tb.Helper()
	_, x := b.open()
	for _, job := range wheels.Jobs(b.survey(platform, false)) {
		d := b.deliver(platform, job, make)
		d.Static = job.Name != "dynamic"
		r, err := b.store.Ingest(platform, b.platforms(), x.Page, job, d)
		if err != nil {
			b.tb.Fatal(err)
		}
		names = append(names, job.Name+" "+r.File)
	}
	b.now = b.now.Add(time.Minute)
	slices.Sort(names)
	return names
}

func (b *bench) platformBecomes(name string, p wheel.Platform) {
	b.tb.Helper()
	if err := b.store.SetFacts(name, p); err != nil {
		b.tb.Fatal(err)
	}
}

func wantBuilt(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: built %q, want %q", when, got, want)
	}
}

func newKinds(t *testing.T) *bench {
	b := newBench(t)
	var all []string
	for _, name := range []string{"pure", "dynamic", "ctypes", "abi3", "native"} {
		b.add(name, name+"-1.tar.gz")
		all = append(all, name+"===1")
	}
	b.publish()
	b.wanted["d12"], b.wanted["d13"] = pins(all...), pins(all...)
	for _, p := range []string{"d12", "d13", "d12"} {
		b.buildAs(p, kinds(p))
	}
	return b
}

// TestEachPlatformGetsItsOwn: only a wheel that is the same everywhere is built
// once; a library in one that says "any" is for the platform that built it.
func TestEachPlatformGetsItsOwn(t *testing.T) {
	b := newKinds(t)
	if r := b.Cycle(b.engine); r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, name := range []string{"pure", "dynamic", "ctypes", "abi3", "native"} {
		own := map[string]string{}
		for _, p := range platformNames {
			for file, mirror := range b.page(p, name) {
				if mirror == "wheels" {
					own[p] = file
				}
			}
		}
		// The bytes of dynamic happen to be the same: so is the name.
		if shared := name == "pure" || name == "dynamic"; (own["d12"] == own["d13"]) != shared || own["d12"] == "" || own["d13"] == "" {
			t.Errorf("%s: %v", name, own)
		}
	}
	for _, r := range b.survey("d13", true) {
		if from := r.From != ""; r.Name != "pure" && from {
			t.Errorf("%s is taken from %s", r.Name, r.From)
		}
	}
	for _, p := range platformNames {
		wantBuilt(t, "a second time on "+p, b.buildAs(p, kinds(p)))
	}
}

// TestAPlatformThatChanges builds anew what no longer fits, and only that.
func TestAPlatformThatChanges(t *testing.T) {
	b := newKinds(t)
	newer := debian12
	newer.Version = "2.37"
	b.platformBecomes("d12", newer)
	wantBuilt(t, "a newer libc", b.buildAs("d12", kinds("d12")))
	newer.Python = "3.12"
	b.platformBecomes("d12", newer)
	next := func(j wheels.Job) (string, string, string) {
		if j.Name == "native" {
			return wheelOf(j.Name, j.Version, "cp312-cp312-linux_x86_64")
		}
		return kinds("d12")(j)
	}
	wantBuilt(t, "a new Python", b.buildAs("d12", next), "dynamic dynamic-1-1mc-py3-none-any.whl", "native native-1-1mc-cp312-cp312-linux_x86_64.whl")
	older := newer
	older.Version = "2.31"
	b.platformBecomes("d12", older)
	got := b.buildAs("d12", func(j wheels.Job) (string, string, string) {
		if j.Name == "ctypes" {
			return with(library, "code for an older libc")(j)
		}
		return next(j)
	})
	wantBuilt(t, "an older libc", got, "ctypes ctypes-1-3mc-py3-none-any.whl")
	wantBuilt(t, "the same", b.buildAs("d12", next))
}

// TestRebuild replaces a wheel: it stays on the page until there is another one,
// whose name is new, and is dropped then.
func TestRebuild(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	b.buildAs("d12", pure)
	b.Cycle(b.engine)
	if err := b.store.Rebuild("d12", pin("a===1")); err != nil {
		t.Fatal(err)
	}
	on := func(when string, want ...string) {
		t.Helper()
		if r := b.Cycle(b.engine); r.Err != nil {
			t.Fatal(r.Err)
		}
		var own []string
		for file, mirror := range b.page("d12", "a") {
			if mirror == "wheels" {
				own = append(own, file)
			}
		}
		if !slices.Equal(own, want) {
			t.Errorf("%s: the page has %v, want %v", when, own, want)
		}
	}
	if got := states(b.survey("d12", false)); got != "a===1 due" {
		t.Errorf("asked for: %s", got)
	}
	on("before it is built", "a-1-1mc-py3-none-any.whl")
	b.buildAs("d12", broken)
	if got := states(b.survey("d12", false)); got != "a===1 failed" {
		t.Errorf("failed: %s", got)
	}
	on("after a failure", "a-1-1mc-py3-none-any.whl")
	b.now = b.now.Add(3 * time.Hour)
	wantBuilt(t, "again", b.buildAs("d12", with("mended.py", "x")), "a a-1-2mc-py3-none-any.whl")
	on("after it is built", "a-1-2mc-py3-none-any.whl")
	wantBuilt(t, "once is enough", b.buildAs("d12", pure))
}

// TestFailuresAreDueWhenTheIndexGains: what a build lacked is there, or its source is another one.
func TestFailuresAreDueWhenTheIndexGains(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.add("tool", "tool-1.0-py3-none-any.whl")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	b.buildAs("d12", func(j wheels.Job) (string, string, string) { return "", "", wheels.Lacking })
	failWith := func(message string) {
		t.Helper()
		_, x := b.open()
		job := wheels.Job{Pin: pin("a===1"), File: "a-1.tar.gz", SHA256: sum("content of a-1.tar.gz")}
		d := b.deliver("d12", job, broken)
		d.Class, d.Message = wheels.Lacking, message
		if _, err := b.store.Ingest("d12", b.platforms(), x.Page, job, d); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Minute)
	}
	failWith("Could not find a version that satisfies the requirement tool[x]<3,>=2 (from versions: 1.0)")
	is := func(when, want string) {
		t.Helper()
		if got := states(b.survey("d12", false)); got != "a===1 "+want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	is("at first", "failed")
	b.add("tool", "tool-3.0-py3-none-any.whl")
	b.publish()
	is("another version does not help", "failed")
	b.add("tool", "tool-2.5-py3-none-any.whl")
	b.publish()
	is("the version is there", "due")
	if got := wheels.Lacked(b.platforms()); !slices.Equal(got, []string{"tool[x]>=2,<3"}) && !slices.Equal(got, []string{"tool[x]<3,>=2"}) {
		t.Errorf("the index is asked for %q", got)
	}
	failWith("No matching distribution found for tool>=2")
	if got := wheels.Lacked(b.platforms()); len(got) != 2 {
		t.Errorf("the index is asked for %q", got)
	}
	is("it was there all the time", "failed")
	b.add("a", "a-1.zip")
	delete(b.files["a"], "a-1.tar.gz")
	b.publish()
	is("another source", "due")
}

// TestAFailureIsDueOnANewPython: what failed on the old one may build on the new one.
func TestAFailureIsDueOnANewPython(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	b.buildAs("d12", broken)
	if got := states(b.survey("d12", false)); got != "a===1 failed" {
		t.Errorf("at first: %s", got)
	}
	newer := debian12
	newer.Python = "3.12"
	b.platformBecomes("d12", newer)
	if got := states(b.survey("d12", false)); got != "a===1 due" {
		t.Errorf("with another Python: %s", got)
	}
	b.buildAs("d12", broken)
	if got := states(b.survey("d12", false)); got != "a===1 failed" {
		t.Errorf("once it has failed there, too: %s", got)
	}
}

// TestARottenSourceIsLookedAt: the index mirror hears of the file, and its pin is
// due as soon as that is whole.
func TestARottenSourceIsLookedAt(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.publish()
	b.wanted["d12"] = pins("a===1")
	path := wheels.Jobs(b.survey("d12", false))[0].Path
	b.buildAs("d12", func(wheels.Job) (string, string, string) { return "", "", wheels.BadSource })
	if got, err := b.store.Suspects(); err != nil || !slices.Equal(got, []string{path}) {
		t.Errorf("suspects %v, %v, want %s", got, err, path)
	}
	file := filepath.Join(b.index.Dir, filepath.FromSlash(path))
	if err := os.WriteFile(file, []byte("rotten"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, "while it is rotten", b.buildAs("d12", pure))
	if err := os.WriteFile(file, []byte("content of a-1.tar.gz"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, "once it is mended", b.buildAs("d12", pure), "a a-1-1mc-py3-none-any.whl")
	if got, err := b.store.Suspects(); err != nil || len(got) > 0 {
		t.Errorf("suspects %v, %v", got, err)
	}
}

// TestANameIsForOneContent: also if two platforms take wheels in at once, and if
// the first of them has left the spec.
func TestANameIsForOneContent(t *testing.T) {
	b := newBench(t)
	b.add("a", "a-1.tar.gz")
	b.publish()
	b.wanted["d12"], b.wanted["d13"] = pins("a===1"), pins("a===1")
	_, x := b.open()
	job := wheels.Job{Pin: pin("a===1"), File: "a-1.tar.gz", SHA256: sum("content of a-1.tar.gz")}
	platforms := b.platforms()
	got := make([]wheels.Record, 2)
	var both sync.WaitGroup
	for i, p := range platformNames {
		d := b.deliver(p, job, with(library, p))
		_, mine := b.open() // as each activity does: an index remembers pages for one caller
		both.Go(func() {
			var err error
			if got[i], err = b.store.Ingest(p, platforms, mine.Page, job, d); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if got[0].File == got[1].File || got[0].File == "" || got[1].File == "" {
		t.Errorf("both are named %s", got[0].File)
	}
	late := b.deliver("d14", job, with(library, "d14"))
	r, err := b.store.Ingest("d14", []wheels.Platform{{Name: "d14", Facts: debian13}}, x.Page, job, late)
	if err != nil || r.File != "a-1-3mc-py3-none-any.whl" {
		t.Errorf("a platform that came later names its wheel %q, %v", r.File, err)
	}
}

// TestPlatformsAreAskedAgain: a root may get another Python at any time.
func TestPlatformsAreAskedAgain(t *testing.T) {
	b := newBench(t)
	for _, step := range []struct {
		later time.Duration
		want  bool
	}{{0, false}, {11 * time.Hour, false}, {2 * time.Hour, true}} {
		if step.later == 0 {
			b.platformBecomes("d12", debian12)
		}
		b.now = b.now.Add(step.later)
		if got := b.store.Ask("d12"); got != step.want {
			t.Errorf("after %s more: %v", step.later, got)
		}
	}
	b.platformBecomes("d12", debian12)
	if b.store.Ask("d12") || b.store.Ask("unknown") {
		t.Error("a platform that has just answered is asked again")
	}
}
