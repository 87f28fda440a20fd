package wheels_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
)

// world is a random state of two platforms, and the sets that the states follow from.
type world struct {
	in       wheels.Input
	pages    map[string]*simpleindex.Project
	kept     map[string]bool // digests
	skipped  map[string]bool // "<platform> <pin>"
	failed   map[string]bool // and not due
	built    map[string]bool // for the platform, by itself or by another
	upstream map[string]bool
}

var tagsOf = map[string]string{"d12": "cp311-cp311-linux_x86_64", "d13": "cp313-cp313-linux_x86_64"}

func draw(t *rapid.T) world {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	w := world{pages: map[string]*simpleindex.Project{}, kept: map[string]bool{}, skipped: map[string]bool{}, failed: map[string]bool{},
		built: map[string]bool{}, upstream: map[string]bool{}}
	w.in = wheels.Input{Now: now, Alone: rapid.Bool().Draw(t, "alone"),
		Page: func(n string) (*simpleindex.Project, error) { return w.pages[n], nil },
		Has:  func(r *wheels.Record) bool { return r != nil && w.kept[r.SHA256] }}
	logs := map[string]wheels.Log{"d12": {}, "d13": {}}
	wanted := map[string][]wheels.Pin{}
	for i := range rapid.IntRange(1, 6).Draw(t, "pins") {
		p := wheels.Pin{Name: fmt.Sprintf("p%d", i), Version: "1.0"}
		page := &simpleindex.Project{Name: p.Name, Files: []simpleindex.File{{Filename: p.Name + "-1.0.tar.gz", SHA256: sum(p.Name)}}}
		w.pages[p.Name] = page
		for _, name := range platformNames {
			if rapid.IntRange(0, 3).Draw(t, "wants") > 0 {
				wanted[name] = append(wanted[name], p)
			}
			logs[name][p] = w.history(t, name, p, page)
		}
	}
	for name, facts := range map[string]wheel.Platform{"d12": debian12, "d13": debian13} {
		w.in.Platforms = append(w.in.Platforms, wheels.Platform{Name: name, Facts: facts, Wanted: wanted[name], Log: logs[name]})
	}
	slices.SortFunc(w.in.Platforms, func(a, b wheels.Platform) int { return len(a.Name) - len(b.Name) })
	return w
}

// history draws what happened to a pin on a platform, and notes what it means.
func (w *world) history(t *rapid.T, name string, p wheels.Pin, page *simpleindex.Project) wheels.Entry {
	key, now := name+" "+p.String(), w.in.Now
	other := map[string]string{"d12": "d13", "d13": "d12"}[name] + " " + p.String()
	var e wheels.Entry
	switch rapid.IntRange(0, 5).Draw(t, "history") {
	case 0:
		e.Failed, e.Attempts = &wheels.Record{Pin: p, Class: "compile", Next: now.Add(time.Hour)}, 1
		w.failed[key] = true
	case 1:
		e.Failed, e.Attempts = &wheels.Record{Pin: p, Class: "compile", Next: now.Add(-time.Hour)}, 1
	case 2:
		e.Built = &wheels.Record{Pin: p, At: now.Add(-20 * 24 * time.Hour), File: p.Name + "-1.0-1mc-" + tagsOf[name] + ".whl", SHA256: sum(key)}
		w.built[key] = true
	case 3:
		e.Built = &wheels.Record{Pin: p, At: now.Add(-20 * 24 * time.Hour), File: p.Name + "-1.0-1mc-py3-none-any.whl", SHA256: sum(key), Shared: true, Facts: &debian12}
		w.built[key], w.built[other] = true, true
	case 4:
		file := p.Name + "-1.0-" + tagsOf[name] + ".whl"
		page.Files = append(page.Files, simpleindex.File{Filename: file, SHA256: sum(file)})
		w.upstream[key] = true
	}
	if e.Built != nil {
		w.kept[e.Built.SHA256] = true
	}
	if rapid.IntRange(0, 5).Draw(t, "skip") == 0 {
		e.Skipped = &wheels.Record{Pin: p, Reason: "x"}
		w.skipped[key] = true
	}
	return e
}

// TestPlanIsWhatIsWantedAndNothingElse holds the plan to its formula:
// wanted − (built ∪ upstream ∪ skipped ∪ failed and not due). With two platforms
// at work, what one waits for is what the other builds.
func TestPlanIsWhatIsWantedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		due := map[string]map[wheels.Pin]bool{}
		waiting := map[string][]wheels.Pin{}
		for _, p := range w.in.Platforms {
			rows, err := wheels.Survey(w.in, p.Name)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) != len(p.Wanted) {
				t.Fatalf("%s: %d rows for %d pins", p.Name, len(rows), len(p.Wanted))
			}
			due[p.Name] = map[wheels.Pin]bool{}
			for _, r := range rows {
				key := p.Name + " " + r.Pin.String()
				build := r.State == wheels.Due || r.State == wheels.Waiting
				if want := !w.built[key] && !w.upstream[key] && !w.skipped[key] && !w.failed[key]; build != want {
					t.Fatalf("%s is %s, want to build it: %v", key, r.State, want)
				}
				if r.State == wheels.Waiting {
					waiting[p.Name] = append(waiting[p.Name], r.Pin)
				}
				if r.State == wheels.Due {
					due[p.Name][r.Pin] = true
				}
			}
		}
		for platform, pins := range waiting {
			other := map[string]string{"d12": "d13", "d13": "d12"}[platform]
			for _, p := range pins {
				if w.in.Alone || !due[other][p] {
					t.Fatalf("%s waits for %s, which %s does not build", platform, p, other)
				}
			}
		}
	})
}
