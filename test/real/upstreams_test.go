package real_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/workflows"
)

// indexServers are upstreams that other programs make of the same files.
type indexServers struct {
	t       *testing.T
	modules string
	python  string
	dir     string // of the files
	files   map[string]lab.Object
}

// TestUpstreamsOfOtherTools mirrors indexes as pypiserver, devpi-server and
// bandersnatch serve them, a static tree of what pip downloaded, and another mirror
// of this program, by its own server and by a plain one. pip and uv install from
// the mirror of each; a second cycle finds nothing new.
func TestUpstreamsOfOtherTools(t *testing.T) {
	t.Parallel()
	in := input(t)
	s := &indexServers{t: t, modules: tools(t, in), python: filepath.Join(in, "venv", "bin", "python"), dir: t.TempDir(), files: map[string]lab.Object{}}
	projects := readProjects(t, filepath.Join(in, "projects"))
	for _, name := range []string{"six", "idna", sdist} {
		s.files[name] = projects[name]
	}
	filename, data := lab.Wheel("oddity", "1!2.0")
	s.files["oddity"] = lab.Object{Filename: filename, Version: "1!2.0", Data: data}
	for _, o := range s.files {
		must(t, os.WriteFile(filepath.Join(s.dir, o.Filename), o.Data, 0o644))
	}
	first := s.first()
	from := map[string]string{
		"pypiserver":        "upstream = [\"" + s.pypiserver() + "/simple/\"]",
		"devpi":             "index = \"" + s.devpi() + "/root/dev/+simple/\"",
		"bandersnatch":      "upstream = [\"" + s.bandersnatch() + "\"]",
		"static":            "index = \"" + s.static() + "/\"",
		"mirrorcycle":       "upstream = [\"" + first.Regions["here"].URL + "/pypi\"]",
		"mirrorcycle-plain": "upstream = [\"" + s.plain(filepath.Join(first.Dir, "regions", "here")) + "/pypi\"]",
	}
	var mirrors strings.Builder
	for name, upstream := range from {
		fmt.Fprintf(&mirrors, "[[mirror]]\nname = %q\nkind = \"pypi\"\n%s\nprojects = [\"*\"]\n", name, upstream)
	}
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Every: "20s", Mirrors: mirrors.String()})
	for _, m := range h.Cycle().Mirrors {
		if m.Outcome != workflows.Done {
			t.Errorf("%s is %s: %s %+v", m.Mirror, m.Outcome, m.Error, m.Deferred)
		}
	}
	for _, m := range h.Cycle().Mirrors {
		if m.Outcome != workflows.Unchanged {
			t.Errorf("again, %s is %s: %s %+v", m.Mirror, m.Outcome, m.Error, m.Deferred)
		}
	}
	for name := range from {
		index := h.Regions["here"].URL + "/" + name + "/simple/"
		followsLinks(t, index+sdist+"/", []lab.Object{s.files[sdist]}) // what builds it is not in these indexes
		for _, i := range newInstallers(t, in) {
			t.Run(name+" by "+i.name, func(t *testing.T) {
				must(t, i.gets(index, []string{"six", "idna", "oddity==1!2.0"}, []string{"six", "idna", "oddity"}))
			})
		}
	}
}

// first is another mirror of this program, of the same files.
func (s *indexServers) first() *lab.House {
	u := lab.NewUpstream(s.t)
	for name, o := range s.files {
		u.Objects(name, o)
	}
	h := lab.New(s.t, lab.Options{Name: "first-of-two", Regions: []string{"here"}, Every: "20s", Mirrors: u.PyPIMirror("pypi", "1h")})
	if r := h.Cycle(); r.Mirrors[0].Outcome != workflows.Done {
		s.t.Fatalf("%+v", r.Mirrors[0])
	}
	return h
}

// serving starts a program and waits until it answers.
func (s *indexServers) serving(address, home string, c command, program string, argv []string) string {
	s.t.Helper()
	cmd := exec.Command(program, argv...)
	cmd.Env, cmd.Dir = c.env, home
	p := lab.Spawn(s.t, cmd)
	lab.Await(s.t, strings.Join(argv, " "), func() bool {
		select {
		case <-p.Ended:
			s.t.Fatal(p.String())
		default:
		}
		res, err := http.Get("http://" + address + "/")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	return "http://" + address
}

func (s *indexServers) pypiserver() string {
	home, address := s.t.TempDir(), lab.FreeAddress(s.t)
	host, port, _ := strings.Cut(address, ":")
	c, program, argv := s.tool(home, "pypiserver.__main__", "main", "run", "-i", host, "-p", port, "--hash-algo", "sha256", "--disable-fallback", s.dir)
	return s.serving(address, home, c, program, argv)
}

func (s *indexServers) devpi() string {
	home, address := s.t.TempDir(), lab.FreeAddress(s.t)
	host, port, _ := strings.Cut(address, ":")
	data := filepath.Join(home, "server")
	s.calls(home, "devpi_server.init", "init", "--serverdir", data, "--no-root-pypi")
	c, program, argv := s.tool(home, "devpi_server.main", "main", "--serverdir", data, "--host", host, "--port", port)
	base := s.serving(address, home, c, program, argv)
	for _, args := range [][]string{{"use", base}, {"login", "root", "--password", ""}, {"index", "-c", "root/dev", "bases="}, {"use", "root/dev"}, {"upload", "--from-dir", s.dir}} {
		s.calls(home, "devpi.main", "main", args...)
	}
	return base
}

// static is what dumb servers have: a page of links with digests per project.
func (s *indexServers) static() string {
	dir := s.t.TempDir()
	var root strings.Builder
	for name, o := range s.files {
		must(s.t, copyFile(filepath.Join(s.dir, o.Filename), filepath.Join(dir, name)))
		link := (&url.URL{Path: o.Filename, Fragment: "sha256=" + digestOf(o)}).String()
		page := fmt.Sprintf("<!DOCTYPE html><html><body><a href=\"%s\">%s</a></body></html>", html.EscapeString(link), html.EscapeString(o.Filename))
		must(s.t, os.WriteFile(filepath.Join(dir, name, "index.html"), []byte(page), 0o644))
		fmt.Fprintf(&root, "<a href=\"%s/\">%s</a>\n", name, name)
	}
	must(s.t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("<!DOCTYPE html><html><body>"+root.String()+"</body></html>"), 0o644))
	return s.plain(dir)
}

// plain serves a directory by Python's own server, which knows no JSON form.
func (s *indexServers) plain(dir string) string {
	home, address := s.t.TempDir(), lab.FreeAddress(s.t)
	host, port, _ := strings.Cut(address, ":")
	return s.serving(address, home, bare(s.t.Context(), home), s.python, []string{"-m", "http.server", port, "--bind", host, "--directory", dir})
}

func digestOf(o lab.Object) string {
	return strings.ReplaceAll(strings.TrimPrefix(filepath.Dir(o.Path()), "/packages/"), "/", "")
}

// bandersnatch mirrors an index, and a plain server has what it made.
func (s *indexServers) bandersnatch() string {
	home := s.t.TempDir()
	conf := filepath.Join(home, "bandersnatch.conf")
	must(s.t, os.WriteFile(conf, []byte(fmt.Sprintf("[mirror]\ndirectory = %s/mirror\nmaster = %s\napi-method = simple\nallow-non-https = true\njson = false\n"+
		"simple-format = ALL\nhash-index = false\nstop-on-error = true\ntimeout = 60\nworkers = 2\n", home, s.warehouse())), 0o644))
	s.calls(home, "bandersnatch.main", "main", "-c", conf, "mirror")
	return s.plain(filepath.Join(home, "mirror", "web"))
}

// warehouse is as much of the large index as bandersnatch asks for.
func (s *indexServers) warehouse() string {
	const serial = 7
	names := []string{}
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("X-PyPI-Last-Serial", fmt.Sprint(serial))
		w.Header().Set("Content-Type", simpleindex.MediaV1JSON)
		_ = json.NewEncoder(w).Encode(v) // bandersnatch tells what it lacks
	}
	mux.HandleFunc("/simple", func(w http.ResponseWriter, _ *http.Request) {
		var list []map[string]any
		for _, name := range names {
			list = append(list, map[string]any{"name": name, "_last-serial": serial})
		}
		answer(w, map[string]any{"meta": map[string]any{"api-version": "1.1", "_last-serial": serial}, "projects": list})
	})
	for name, o := range s.files {
		path := o.Path()
		mux.HandleFunc("/pypi/"+name+"/json", func(w http.ResponseWriter, r *http.Request) {
			file := map[string]any{"filename": o.Filename, "url": "http://" + r.Host + (&url.URL{Path: path}).EscapedPath(), "size": len(o.Data), "packagetype": "bdist_wheel",
				"digests": map[string]string{"sha256": digestOf(o)}, "upload_time_iso_8601": "2026-01-01T00:00:00.000000Z", "yanked": false, "requires_python": nil}
			answer(w, map[string]any{"info": map[string]any{"name": name, "version": o.Version}, "last_serial": serial, "releases": map[string]any{o.Version: []any{file}}})
		})
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, o := range s.files {
			if r.URL.Path == o.Path() {
				_, _ = w.Write(o.Data)
				return
			}
		}
		mux.ServeHTTP(w, r)
	}))
	s.t.Cleanup(srv.Close)
	return srv.URL
}
