package activities_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"mirrorcycle/activities"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// TestOnePinOfManyCanBeSkipped: what is done is answered with the states of that
// pin; that there are too many for a list of all is no failure of it.
func TestOnePinOfManyCanBeSkipped(t *testing.T) {
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
		for i := range 1500 {
			w.Platforms[platform] = append(w.Platforms[platform], requirements.Pin{Name: fmt.Sprintf("p%04d", i), Version: "1"})
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
