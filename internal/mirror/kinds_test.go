package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/verify"
	"mirrorcycle/mirrorspec"
)

// toy mirrors what SHA256SUMS lists: the smallest kind there is.
type toy struct {
	t      Target
	client *fetch.Client
}

const sums = "SHA256SUMS"

func (e toy) Plan(ctx context.Context, t *tree.Tree) (string, tree.PlanInfo, error) {
	data, _, err := e.client.GetBytes(ctx, fetch.Request{Upstreams: e.t.Mirror.Upstream, Path: sums, Max: 1 << 20, Index: true})
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	w, err := t.NewPlan(nil)
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if err := w.Fetch(tree.Item{Path: f[1], Size: -1, SHA256: f[0], Source: f[1]}); err != nil {
			return "", tree.PlanInfo{}, err
		}
	}
	if _, err := t.PutIndex(data); err != nil {
		return "", tree.PlanInfo{}, err
	}
	out, err := w.Create(sums)
	if err == nil {
		_, err = out.Write(data)
	}
	if err != nil {
		return "", tree.PlanInfo{}, err
	}
	w.Info().Changed = true
	return w.Finish()
}

func (e toy) Settle(_ context.Context, t *tree.Tree, p *tree.Plan) (req tree.CommitRequest, _ []tree.Note, err error) {
	f, err := p.Open(sums)
	if err != nil {
		return req, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return req, nil, err
	}
	d, err := t.PutIndex(data)
	all := []manifest.Entry{{Path: sums, Kind: manifest.Pointer, Size: int64(len(data)), Digest: d}}
	for r := range p.Results(0) {
		d, err := manifest.ParseDigest(r.SHA256)
		if err != nil {
			return req, nil, err
		}
		all = append(all, manifest.Entry{Path: r.Path, Kind: manifest.Object, Size: r.Size, Digest: d})
	}
	slices.SortFunc(all, manifest.Compare)
	req.Manifest, err = manifest.Write(t, func(yield func(manifest.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	})
	return req, nil, err
}

func (e toy) Source(context.Context, *tree.Tree, manifest.Entry) (fetch.Request, bool, error) {
	return fetch.Request{}, false, nil
}

// checkToy is its verifier: what the list names is there.
func checkToy(_ context.Context, c *verify.Checker) error {
	for _, e := range c.Indexes() {
		data, ok, err := c.Read(e, 1<<20)
		if err != nil || !ok {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 2 {
				if err := c.Names(e.Path, f[1], -1, f[0]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// TestAKindIsARow adds a kind by a row and nothing else, and has it planned,
// fetched, committed and verified, with files for its clients.
func TestAKindIsARow(t *testing.T) {
	const name mirrorspec.Kind = "toy"
	kinds[name] = Kind{
		Engine:  func(t Target, c *fetch.Client) (Engine, error) { return toy{t, c}, nil },
		Verify:  checkToy,
		Clients: func(w *clientfiles.Writer, m mirrorspec.Mirror) { w.Put("toy/"+m.Name, "get "+w.Region.URL+"\n") },
		Init:    func(hostconf.Found) (mirrors, left []string) { return nil, []string{"a toy"} },
		Hint:    func(_ mirrorspec.Mirror, _, url string) []string { return []string{"get " + url} },
	}
	t.Cleanup(func() { delete(kinds, name) })
	round := sha256.Sum256([]byte("round"))
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+sums {
			fmt.Fprintf(w, "%s  a/ball\n", hex.EncodeToString(round[:]))
			return
		}
		io.WriteString(w, "round")
	}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	m := mirrorspec.Mirror{Name: "toys", Kind: name, Upstream: []string{upstream.URL}}
	target := Target{Storage: mirrorspec.Storage{Root: dir + "/trees", State: dir + "/state"}, Limits: mirrorspec.Limits{Downloads: 2, PerHost: 2}, Mirror: m}
	if _, err := tree.Setup(target.Tree(), m.Name); err != nil {
		t.Fatal(err)
	}
	if v := refresh(t, target); !v.Sealed || v.Indexes != 1 || v.Objects != 1 {
		t.Errorf("verified %+v", v)
	}
	files, err := ClientFiles(mirrorspec.Region{Name: "r", URL: "http://r.example.org"}, []mirrorspec.Mirror{m}, nil, "")
	if err != nil || !strings.Contains(string(files["toy/toys"]), "get http://r.example.org") {
		t.Errorf("client files %v, %v", files, err)
	}
	if got := Hints(target.Storage, m, "http://r.example.org/toys"); !slices.Equal(got, []string{"get http://r.example.org/toys"}) {
		t.Errorf("hints %q", got)
	}
	if _, err := Init(hostconf.Found{}); err == nil || !strings.Contains(err.Error(), "a toy") {
		t.Errorf("init does not ask the row: %v", err)
	}
}

// refresh brings the target's mirror from upstream to a sealed generation.
func refresh(t *testing.T, target Target) Verified {
	t.Helper()
	var h Host
	m := h.Of(target, Run{ID: "run", Internal: []string{"127.0.0.0/8"}})
	opened, err := m.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { m.Close() }()
	planned, err := m.Plan(t.Context(), PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for shard := range planned.Info.Shards {
		if got, err := m.Fetch(t.Context(), planned.Digest, shard); err != nil || got.Failed > 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	m.Close()
	if err := m.Renew(opened.Epoch); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Commit(t.Context(), CommitOptions{Plan: planned.Digest}); err != nil {
		t.Fatal(err)
	}
	v, err := m.Verify(t.Context(), VerifyOptions{Full: true})
	if err != nil || len(v.Problems) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	return v
}
