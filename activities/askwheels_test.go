package activities_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"mirrorcycle/activities"
	"mirrorcycle/internal/enginetest"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// TestOnePinOfManyCanBeSkipped: what is done is answered with the states of that
// pin; that there are too many for a list of all is no failure of it.
func TestOnePinOfManyCanBeSkipped(t *testing.T) {
	var names []string
	for i := range 1500 {
		names = append(names, fmt.Sprintf("p%04d", i))
	}
	p, _ := newWheelPlant(t, names...)
	target := p.target
	for _, verb := range []string{activities.VerbSkip, activities.VerbRetry} {
		var a activities.Answer
		p.do(p.sync.Answer, activities.Question{Target: target, Verb: verb, Pin: "p0007==1", Reason: "by hand"}, &a)
		if len(a.Wheels) != 3 || a.Wheels[0].Pin != "p0007===1" {
			t.Errorf("%s: %d states", verb, len(a.Wheels))
		}
	}
	if _, err := p.env.ExecuteActivity(p.sync.Answer, activities.Question{Target: target, Verb: activities.VerbWheels}); err == nil {
		t.Error("an answer of 4500 states may be larger than what Temporal takes")
	}
}

// newWheelPlant is a wheels mirror of which each name is wanted at version 1 on
// three platforms, with an index mirror that has nothing yet.
func newWheelPlant(t *testing.T, names ...string) (plant, wheels.Store) {
	t.Helper()
	dir := t.TempDir()
	storage := mirrorspec.Storage{Name: "main", Root: filepath.Join(dir, "trees"), State: filepath.Join(dir, "state")}
	for _, m := range []string{"pypi", "wheels"} {
		if _, err := tree.Setup(tree.Config{Dir: filepath.Join(storage.Root, m), State: filepath.Join(storage.State, m)}, m); err != nil {
			t.Fatal(err)
		}
	}
	target := activities.Target{Storage: storage, Index: &mirrorspec.Mirror{Name: "pypi", Kind: mirrorspec.PyPI},
		Mirror: mirrorspec.Mirror{Name: "wheels", Kind: mirrorspec.Wheels, Index: "pypi"}}
	w := requirements.Wanted{Platforms: map[string][]requirements.Pin{}}
	for _, platform := range []string{"d12", "d13", "noble"} {
		target.Mirror.Platforms = append(target.Mirror.Platforms, mirrorspec.Platform{Name: platform})
		for _, name := range names {
			w.Platforms[platform] = append(w.Platforms[platform], requirements.Pin{Name: name, Version: "1"})
		}
	}
	data, err := w.Encode()
	if err == nil {
		err = os.MkdirAll(filepath.Join(storage.State, "wheels/requirements"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(storage.State, "wheels/requirements/wanted"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	var s testsuite.WorkflowTestSuite
	p := plant{t: t, sync: &activities.Sync{}, env: s.NewTestActivityEnvironment(), target: target}
	p.env.RegisterActivity(p.sync)
	return p, wheels.Store{State: filepath.Join(storage.State, "wheels")}
}

// TestRetryOfMany makes failures due again, all or those of a class, and has a
// wheel that is built replaced where a person asks for it.
func TestRetryOfMany(t *testing.T) {
	p, store := newWheelPlant(t, "broken", "built", "headers", "sourceless", "waits")
	ingest := func(name, class string) {
		t.Helper()
		job := wheels.Job{Pin: wheels.Pin{Name: name, Version: "1"}, File: name + "-1.tar.gz", SHA256: strings.Repeat("a", 64)}
		none := func(string) (*simpleindex.Project, error) { return nil, nil }
		d := wheels.Delivery{Attempt: "run-" + name, Class: class, Message: "no luck"}
		if class == "" {
			var data []byte
			d.File, data = enginetest.Wheel(name, "1", "py3-none-any")
			sum := sha256.Sum256(data)
			d.SHA256 = hex.EncodeToString(sum[:])
			if err := errors.Join(os.MkdirAll(store.Inbox("d12", d.Attempt), 0o755), os.WriteFile(filepath.Join(store.Inbox("d12", d.Attempt), d.File), data, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := store.Ingest("d12", nil, none, job, d); err != nil || r.Class != class {
			t.Fatal(r, err)
		}
	}
	ingest("broken", "compiler")
	ingest("headers", "header-missing")
	ingest("built", "")
	ask := func(q activities.Question) (pins string) {
		t.Helper()
		var a activities.Answer
		q.Target, q.Platform = p.target, "d12"
		p.do(p.sync.Answer, q, &a)
		for _, w := range a.Wheels {
			pins += w.Pin + " " + w.State + ","
		}
		return pins
	}
	if got := ask(activities.Question{Verb: activities.VerbRetry, Class: "header-missing"}); got != "headers===1 due," {
		t.Errorf("of a class: %s", got)
	}
	if got := ask(activities.Question{Verb: activities.VerbRetry, Failed: true}); got != "broken===1 due," {
		t.Errorf("all failed: %s", got)
	}
	if got := ask(activities.Question{Verb: activities.VerbRetry, Pin: "built==1"}); got != "built===1 built," {
		t.Errorf("a built one without --rebuild: %s", got)
	}
	if ask(activities.Question{Verb: activities.VerbRetry, Pin: "built==1", Rebuild: true}); true {
		log, err := store.Read("d12")
		if e := log[wheels.Pin{Name: "built", Version: "1"}]; err != nil || !e.Rebuild || e.Built == nil {
			t.Errorf("%+v %v", e, err)
		}
	}
}
