package simpleindex_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"mirrorcycle/internal/simpleindex"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
}

func nova() *simpleindex.Project {
	blake := strings.Repeat("c", 60)
	return &simpleindex.Project{
		Name: "nova", Status: simpleindex.Archived, StatusReason: `moved to "elsewhere" <soon>`, LastSerial: 42, Versions: []string{"1.0", "2.0"},
		Files: []simpleindex.File{
			{Filename: "nova-1.0.tar.gz", URL: "https://files.example.org/packages/ab/cd/" + blake + "/nova-1.0.tar.gz", SHA256: shaA, Size: -1,
				Yanked: true, Provenance: "https://index.example.org/integrity/nova"},
			{Filename: "nova-2.0+local-py3-none-any.whl", URL: "https://other.example.org/nova-2.0+local-py3-none-any.whl", SHA256: shaB, Size: 12,
				UploadTime: time.Date(2024, 5, 6, 7, 8, 9, 120000000, time.UTC), RequiresPython: ">=3.8,<4", Yanked: true, YankedReason: `broke "everything" & <more>`,
				CoreMetadata: simpleindex.CoreMetadata{Available: true, SHA256: shaA}},
			{Filename: "nova 2.0.zip", URL: "https://other.example.org/x", SHA256: shaB, CoreMetadata: simpleindex.CoreMetadata{Available: true}},
		},
	}
}

func TestRenderProject(t *testing.T) {
	o := simpleindex.RenderOptions{Provenance: func(f simpleindex.File) string {
		if f.Provenance == "" {
			return ""
		}
		return "https://mirror.example.org/integrity/" + f.Filename
	}}
	golden(t, "project.json", nova().RenderJSON(o))
	golden(t, "project.html", nova().RenderHTML(o))
	empty := &simpleindex.Project{Name: "gone"}
	golden(t, "empty.json", empty.RenderJSON(simpleindex.RenderOptions{}))
	golden(t, "empty.html", empty.RenderHTML(simpleindex.RenderOptions{}))
}

func TestRenderRoot(t *testing.T) {
	projects := []simpleindex.RootProject{{Name: "Nova", LastSerial: 5}, {Name: "oslo.config", LastSerial: 9}, {Name: "zero"}}
	for name, render := range map[string]func(b *bytes.Buffer) error{
		"root.json": func(b *bytes.Buffer) error {
			return simpleindex.RenderRootJSON(b, 9, slices.Values(projects))
		},
		"root.html": func(b *bytes.Buffer) error {
			return simpleindex.RenderRootHTML(b, 9, slices.Values(projects))
		},
		"root-empty.json": func(b *bytes.Buffer) error {
			return simpleindex.RenderRootJSON(b, 0, slices.Values(projects[:0]))
		},
	} {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestRenderRootReportsWriteError(t *testing.T) {
	full := errors.New("disk full")
	projects := slices.Values([]simpleindex.RootProject{{Name: "a"}})
	if err := simpleindex.RenderRootJSON(brokenWriter{full}, 1, projects); !errors.Is(err, full) {
		t.Errorf("err = %v", err)
	}
	if err := simpleindex.RenderRootHTML(brokenWriter{full}, 1, projects); !errors.Is(err, full) {
		t.Errorf("err = %v", err)
	}
}

func TestRenderLeavesUpstreamProvenanceOut(t *testing.T) {
	for _, b := range [][]byte{nova().RenderJSON(simpleindex.RenderOptions{}), nova().RenderHTML(simpleindex.RenderOptions{})} {
		if bytes.Contains(b, []byte("integrity")) {
			t.Errorf("links to upstream's provenance: %s", b)
		}
	}
}

// TestHTMLMeansWhatJSONSays reads the rendered HTML with a browser's parser, so
// that an escape forgotten on either side shows.
func TestHTMLMeansWhatJSONSays(t *testing.T) {
	p := nova()
	p.Files = append(p.Files, simpleindex.File{Filename: `x"><script>.zip`, URL: "https://e.example.org/x", SHA256: shaA, RequiresPython: `<"'>`})
	type link struct{ Text, Href, Python, Yanked, Metadata string }
	var got, want []link
	z := html.NewTokenizer(bytes.NewReader(p.RenderHTML(simpleindex.RenderOptions{})))
	for z.Next() != html.ErrorToken {
		tok := z.Token()
		if tok.Data == "script" {
			t.Fatal("script element")
		}
		if tok.Type != html.StartTagToken || tok.Data != "a" {
			continue
		}
		var l link
		for _, a := range tok.Attr {
			switch a.Key {
			case "href":
				l.Href = a.Val
			case "data-requires-python":
				l.Python = a.Val
			case "data-yanked":
				l.Yanked = "yes " + a.Val
			case "data-core-metadata":
				l.Metadata = a.Val
			}
		}
		z.Next()
		l.Text = z.Token().Data
		got = append(got, l)
	}
	for _, f := range p.Files {
		l := link{Text: f.Filename, Href: simpleindex.RelativeURL(f) + "#sha256=" + f.SHA256, Python: f.RequiresPython}
		if f.Yanked {
			l.Yanked = "yes " + f.YankedReason
		}
		if f.CoreMetadata.Available {
			l.Metadata = "true"
			if f.CoreMetadata.SHA256 != "" {
				l.Metadata = "sha256=" + f.CoreMetadata.SHA256
			}
		}
		want = append(want, l)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
