package real_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// odd are names that a Python index may have; the first ones are installed.
var odd = []string{
	"oddity-1!2.0-py3-none-any.whl", "oddity-1!2.0+local.1-py3-none-any.whl",
	"oddity-1.0 (copy).zip", "oddity-1.0'2.zip", "oddity-100%.zip", "oddity-1.0%21.zip", "oddity-1.0#2.zip", "oddity-1.0@2.zip", "oddity-1.0&2.zip",
	"oddity-1.0=2.zip", "oddity-1.0;2.zip", "oddity-1.0,2.zip", "oddity-1.0~2.zip", "oddity-1.0+2.zip", "oddity-1.0é日本.zip",
}

// TestOddNames has a project whose files have names that URLs must escape, behind
// every web server and for pip and uv. One of them is no reason that another
// project stands still.
func TestOddNames(t *testing.T) {
	t.Parallel()
	in := input(t)
	u := lab.NewUpstream(t)
	var objects []lab.Object
	for i, name := range odd {
		version := []string{"1!2.0", "1!2.0+local.1"}[min(i, 1)]
		_, data := lab.Wheel("oddity", version)
		if i > 1 {
			data = []byte(name)
		}
		objects = append(objects, lab.Object{Filename: name, Version: version, Data: data})
	}
	u.Objects("oddity", objects...)
	u.Project("plain", "1")
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Every: "20s", Mirrors: u.PyPIMirror("pypi", "1h")})
	if r := h.Cycle(); r.Mirrors[0].Outcome != workflows.Done {
		t.Fatalf("%+v", r.Mirrors[0])
	}
	for d := h.Dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755)) // web servers run as another user
	}
	dir := filepath.Join(h.Dir, "regions", "here")
	for name, base := range map[string]string{"serve": h.Regions["here"].URL, "nginx": lab.Nginx(t, dir), "apache2": lab.Apache(t, dir)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			followsLinks(t, base+"/pypi/simple/oddity/", objects)
			for _, o := range objects { // what old pages of a wheels mirror name, after a redirect
				path := (&url.URL{Path: "/.releases/wheels/pypi" + o.Path()}).EscapedPath()
				if name == "serve" {
					continue // this house has no wheels mirror; internal/serve has the test
				}
				if got, err := download(t, base+path); err != nil || !bytes.Equal(got, o.Data) {
					t.Errorf("%s: %v", path, err)
				}
			}
			for _, i := range newInstallers(t, in) {
				must(t, i.gets(base+"/pypi/simple/", []string{"oddity==1!2.0+local.1"}, []string{"oddity"}))
				must(t, i.gets(base+"/pypi/simple/", []string{"oddity==1!2.0", "plain"}, []string{"oddity", "plain"}))
			}
		})
	}
}

// followsLinks downloads everything that a page names.
func followsLinks(t *testing.T, page string, want []lab.Object) {
	t.Helper()
	data, err := download(t, page)
	must(t, err)
	var p struct {
		Files []struct{ Filename, URL string }
	}
	must(t, json.Unmarshal(data, &p))
	if len(p.Files) != len(want) {
		t.Fatalf("%d files on the page, want %d", len(p.Files), len(want))
	}
	base, err := url.Parse(page)
	must(t, err)
	for i, f := range p.Files {
		link, err := base.Parse(f.URL)
		must(t, err)
		if got, err := download(t, link.String()); err != nil || f.Filename != want[i].Filename || !bytes.Equal(got, want[i].Data) {
			t.Errorf("%s by %s: %v", f.Filename, link, err)
		}
	}
}

func download(t *testing.T, url string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", v1json)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return data, err
}
