package simpleindex_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

// links wraps anchors into a page as PEP 503 has it.
func links(anchors string) string {
	return "<!DOCTYPE html>\n<html><head><title>Links for nova</title></head><body><h1>Links for nova</h1>\n" + anchors + "\n</body></html>\n"
}

func TestParseHTML(t *testing.T) {
	base := simpleindex.File{Filename: "nova-1.0.tar.gz", URL: "https://index.example.org/simple/nova/nova-1.0.tar.gz", SHA256: shaA, Size: -1}
	with := func(change func(*simpleindex.File)) []simpleindex.File {
		f := base
		change(&f)
		return []simpleindex.File{f}
	}
	tests := []struct {
		name, text string
		want       []simpleindex.File
	}{
		{"relative", links(`<a href="nova-1.0.tar.gz#sha256=` + shaA + `">nova-1.0.tar.gz</a><br/>`), []simpleindex.File{base}},
		{"absolute", links(`<A HREF='https://files.example.org/p/nova-1.0.tar.gz#sha256=` + shaA + `' rel=internal>whatever</A>`), with(func(f *simpleindex.File) {
			f.URL = "https://files.example.org/p/nova-1.0.tar.gz"
		})},
		{"from the site's root", links(`<a href="/whl/nova-1.0.tar.gz#sha256=` + shaA + `">x</a>`), with(func(f *simpleindex.File) { f.URL = "https://index.example.org/whl/nova-1.0.tar.gz" })},
		{"escaped", links(`<a href="nova-1%212.0%2Bcpu-py3-none-any.whl#sha256=` + shaA + `">x</a>`), with(func(f *simpleindex.File) {
			f.Filename, f.URL = "nova-1!2.0+cpu-py3-none-any.whl", "https://index.example.org/simple/nova/nova-1%212.0%2Bcpu-py3-none-any.whl"
		})},
		{"everything", links(`<a href="nova-1.0.tar.gz#egg=nova&amp;sha256=` + shaA + `" data-requires-python="&gt;=3.8" data-yanked="bad &lt;wheel&gt;" data-dist-info-metadata="sha256=` + shaB +
			`" data-gpg-sig="false">x</a>`), with(func(f *simpleindex.File) {
			f.RequiresPython, f.Yanked, f.YankedReason = ">=3.8", true, "bad <wheel>"
			f.CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: shaB}
		})},
		{"metadata without a digest, yanked without a reason", links(`<a href="nova-1.0.tar.gz#sha256=` + shaA + `" data-yanked data-core-metadata="true">x</a>`), with(func(f *simpleindex.File) {
			f.Yanked, f.CoreMetadata.Available = true, true
		})},
		{"a base", "<html><head><base href='https://cdn.example.org/x/'></head><a href='nova-1.0.tar.gz#sha256=" + shaA + "'>x</a></html>",
			with(func(f *simpleindex.File) { f.URL = "https://cdn.example.org/x/nova-1.0.tar.gz" })},
		{"a listing of a directory", "<html><title>Directory listing for /</title><a href='../'>..</a><a href='?C=N'>Name</a><a href='nova-1.0.tar.gz#sha256=" + shaA + "'>x</a></html>", []simpleindex.File{base}},
		{"no document around it", `<a href="nova-1.0.tar.gz#sha256=` + shaA + `">x</a>`, []simpleindex.File{base}},
		{"no file", links(""), []simpleindex.File{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := simpleindex.ParsePage([]byte(tt.text), "Nova", pageURL)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, p.Files); d != "" || len(p.Refused) != 0 || !p.HTML || p.Name != "nova" {
				t.Errorf("%+v %s", p, d)
			}
		})
	}
}

func TestHTMLWithoutProof(t *testing.T) {
	for name, fragment := range map[string]string{"nothing": "", "MD5": "#md5=" + shaA[:32], "short": "#sha256=aa"} {
		p, err := simpleindex.ParsePage([]byte(links(`<a href="nova-1.0.zip`+fragment+`">x</a><a href="nova-2.0.zip#sha256=`+shaB+`">x</a>`)), "nova", pageURL)
		if err != nil || len(p.Files) != 1 || len(p.Refused) != 1 || p.Refused[0].Filename != "nova-1.0.zip" || !errors.Is(p.Refused[0].Err, fault.Unproved) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestHTMLRefuses(t *testing.T) {
	whole := links(`<a href="nova-1.0.zip#sha256=` + shaA + `">x</a>`)
	for name, text := range map[string]string{
		"a portal": "<!DOCTYPE html><html><body>Please log in</body></html>", "a portal with links": "<html><a href='/login'>log in</a></html>",
		"cut short": whole[:len(whole)-20], "another version": `<html><meta name="pypi:repository-version" content="2.0"></html>`,
	} {
		if p, err := simpleindex.ParsePage([]byte(text), "nova", pageURL); !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestReadRootHTML(t *testing.T) {
	const url = "https://index.example.org/simple/"
	for name, tt := range map[string]struct {
		text   string
		want   []simpleindex.RootProject
		serial int64
	}{
		"as PEP 503 has it":   {"<html><title>Simple index</title><a href='oslo-config/'>Oslo.Config</a><a href='/simple/nova/'>nova</a></html><!--SERIAL 7-->", []simpleindex.RootProject{{Name: "Oslo.Config"}, {Name: "nova"}}, 7},
		"a listing":           {"<html><title>Index of /simple</title><a href='../'>..</a><a href='?C=M'>Date</a><a href='nova/'>nova/</a><a href='x-1.zip'>r</a></html>", []simpleindex.RootProject{{Name: "nova"}}, 0},
		"absolute elsewhere":  {"<html><a href='https://cdn.example.org/i/nova/'>nova</a></html>", []simpleindex.RootProject{{Name: "nova"}}, 0},
		"without a slash":     {"<html><a href='nova'>nova</a></html>", []simpleindex.RootProject{{Name: "nova"}}, 0},
		"without any project": {"<html><title>Simple index</title></html>", nil, 0},
	} {
		got, serial, err := simpleindex.ReadRootHTML([]byte(tt.text), url)
		if d := cmp.Diff(tt.want, got); err != nil || d != "" || serial != tt.serial {
			t.Errorf("%s: %d, %v %s", name, serial, err, d)
		}
	}
	for _, text := range []string{"<html>Log in</html>", "<html><a href='/login'>log in</a></html>", "<html><title>Simple index</title><a href='nova/'>nova"} {
		if got, _, err := simpleindex.ReadRootHTML([]byte(text), url); !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// TestHTMLReadsItself: what is rendered as HTML reads back.
func TestHTMLReadsItself(t *testing.T) {
	want := &simpleindex.Project{Name: "nova", Status: simpleindex.Archived, StatusReason: "old & \"done\"", LastSerial: 9, HTML: true, Files: []simpleindex.File{{
		Filename: "nova-1!2+a.b-py3-none-any.whl", SHA256: shaA, Size: -1, RequiresPython: ">=3,<4", Yanked: true, YankedReason: "<no>",
		URL: "https://index.example.org/packages/aa/aa/" + shaA[4:] + "/nova-1%212+a.b-py3-none-any.whl", CoreMetadata: simpleindex.CoreMetadata{Available: true, SHA256: shaB}}}}
	got, err := simpleindex.ParsePage(want.RenderHTML(simpleindex.RenderOptions{}), "nova", pageURL)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func FuzzParseHTML(f *testing.F) {
	f.Add([]byte(links(`<a href="nova-1.0.tar.gz#sha256=` + shaA + `" data-yanked="x">x</a>`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := simpleindex.ParsePage(append([]byte("<"), data...), "nova", pageURL)
		if err != nil {
			if !errors.Is(err, fault.Malformed) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		if _, err := simpleindex.ParseProject(p.RenderJSON(simpleindex.RenderOptions{URL: func(f simpleindex.File) string { return f.URL }}), "nova", pageURL); err != nil {
			t.Fatalf("own rendering is refused: %v", err)
		}
	})
}
