package activities_test

import (
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/activities"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// TestHoldUnits: a generation in which one project's page does not verify is made
// once more without it, and sealed. A second attempt says the same, and where
// more is wrong than pages of projects nothing is made.
func TestHoldUnits(t *testing.T) {
	for _, c := range []struct {
		file  string
		holds int
	}{{"simple/%/index.html", 1}, {"simple/index.html", 0}} {
		p := newPlant(t, "")
		p.commit()
		var v activities.Verified
		in := activities.VerifyInput{Target: p.target, Epoch: p.opened.Epoch}
		dir, state := filepath.Join(p.target.Storage.Root, "pypi"), filepath.Join(p.target.Storage.State, "pypi")
		tr, err := tree.Resume(tree.Config{Dir: dir, State: state, Holder: "test"}, p.opened.Epoch+1)
		if err != nil {
			t.Fatal(err)
		}
		in.Epoch++ // the commit took the next one
		g, err := tr.Committed()
		if err != nil {
			t.Fatal(err)
		}
		m, err := tr.ManifestOf(g)
		if err != nil {
			t.Fatal(err)
		}
		project, file := "", c.file
		for e, err := range m.Under("simple/") {
			if err != nil {
				t.Fatal(err)
			}
			if parts := strings.Split(e.Path, "/"); len(parts) == 3 {
				project = parts[1]
			}
		}
		file = strings.ReplaceAll(file, "%", project)
		digest, err := tr.PutIndex([]byte("<html>nothing</html>"))
		if err != nil {
			t.Fatal(err)
		}
		next, err := manifest.Edit(m, func(yield func(manifest.Change, error) bool) {
			yield(manifest.Change{Entry: manifest.Entry{Path: file, Kind: manifest.Index2, Size: 20, Digest: digest}}, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		req := tree.CommitRequest{Manifest: next, Engine: g.Engine, Upstream: g.Upstream, Plan: "spoilt", Aux: map[string]manifest.ID{}}
		for name, id := range g.Aux {
			if req.Aux[name], err = manifest.ParseDigest(id); err != nil {
				t.Fatal(err)
			}
		}
		if g, err = tr.Commit(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		tr.Close()

		p.do(p.sync.Verify, in, &v)
		if v.Sealed || v.Holdable != c.holds {
			t.Fatalf("%s: %+v", file, v)
		}
		in.Number = g.Number
		var held, again activities.Committed
		p.do(p.sync.HoldUnits, in, &held)
		if c.holds == 0 {
			if held.Number != 0 {
				t.Errorf("%s: %+v", file, held)
			}
			continue
		}
		if held.Number != g.Number+1 || len(held.Deferred) != 1 || held.Deferred[0].Unit != project || !strings.Contains(held.Deferred[0].Error, file) {
			t.Fatalf("%+v", held)
		}
		in.Epoch = held.Epoch
		p.do(p.sync.HoldUnits, in, &again)
		if again.Number != held.Number || len(again.Deferred) != 1 {
			t.Errorf("a second attempt: %+v", again)
		}
		in.Epoch, in.Number = again.Epoch, 0
		if p.do(p.sync.Verify, in, &v); !v.Sealed || v.Number != held.Number {
			t.Errorf("%+v", v)
		}
	}
}
