package wheelcycle_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
)

// servers are URLs of the region, by who serves it.
func (m *mill) servers() map[string]string {
	m.t.Helper()
	m.open(m.Dir) // their processes run as another user
	dir := filepath.Join(m.Dir, "regions", "here")
	return map[string]string{"this project": m.Regions["here"].URL, "nginx": lab.Nginx(m.t, dir), "Apache": lab.Apache(m.t, dir)}
}

// open lets every user pass a temporary directory.
func (m *mill) open(dir string) {
	m.t.Helper()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
}

// asks compares a web server's answers with those of this project's own.
func (m *mill) asks(name, url string) {
	m.t.Helper()
	p := m.platforms()[0]
	for _, path := range []string{"/wheels/" + p + "/simple/", "/wheels/" + p + "/simple/six/", "/wheels/" + p + "/simple/six", "/wheels/" + p + "/simple/setuptools/",
		"/wheels/" + p + "/simple/setuptools", "/wheels/" + p + "/simple/nothing/", "/wheels/" + p + "/simple/.hidden/", "/wheels/none/simple/six/", "/wheels/none/",
		"/wheels/packages/none.whl", "/pypi/" + p + "/simple/six/", "/wheels/" + p + "/logs/six-1.17.0.log", "/.releases/wheels/pypi/packages/none", "/.releases/wheels/pypi/x"} {
		want, got := m.ask(m.Regions["here"].URL+path), m.ask(url+path)
		if got != want {
			m.t.Errorf("%s: %s says %s, this project %s", path, name, got, want)
		}
	}
}

// ask describes an answer, after all redirects.
func (m *mill) ask(url string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Accept", simpleindex.MediaV1JSON)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return "no" // 403 or 404: contents of directories are nobody's business
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %x", resp.Request.URL.Path, strings.TrimSuffix(resp.Header.Get("Content-Type"), "; charset=utf-8"), sha256.Sum256(data))
}

// modules are what tells that a project's wheel is whole.
var modules = map[string]string{"markupsafe": "markupsafe._speedups", "pyyaml": "yaml", "msgpack": "msgpack._cmsgpack", "sqlalchemy": "sqlalchemy",
	"wrapt": "wrapt._wrappers", "psutil": "psutil._psutil_linux", "bitarray": "bitarray", "jinja2": "jinja2", "six": "six", "idna": "idna", "docutils": "docutils"}

// install makes a fresh environment in the platform's root and installs what was
// built, with pip or uv, from the merged index and nothing else. A project that
// the wheels mirror has no page of comes from its index mirror.
func (m *mill) install(client, url, platform string, pins []string) {
	m.t.Helper()
	var names []string
	imports := "setuptools"
	for _, p := range pins {
		name, _, _ := strings.Cut(p, "==")
		if name = simpleindex.Normalize(name); rootlab.Lacking[name] == "" {
			names = append(names, p)
			if module := modules[name]; module != "" {
				imports += ", " + module
			}
		}
	}
	installer := map[string]string{"pip": "/tmp/v/bin/pip install --quiet --no-cache-dir", "uv": "/opt/uv pip install --quiet --no-cache --python /tmp/v/bin/python"}[client]
	script := "python3 -m venv /tmp/v\n" + installer + " --no-deps --only-binary :all: --index-url " + url + "/wheels/" + platform + "/simple/ " + strings.Join(names, " ") +
		" setuptools\n/tmp/v/bin/python -c 'import " + imports + "'\n"
	began := time.Now()
	if out, err := rootlab.Enter(m.roots[platform], script, map[string]string{"/opt/uv": m.uv}).CombinedOutput(); err != nil {
		m.t.Errorf("%s on %s from %s: %v\n%s", client, platform, url, err, out)
		return
	}
	m.t.Logf("%s installed %d wheels on %s in %s", client, len(names), platform, time.Since(began).Round(time.Millisecond))
}
