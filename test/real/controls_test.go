package real_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/simpleindex"
)

// serveFiles serves files by path.
func serveFiles(t *testing.T, files map[string][]byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path[1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestAptRefuses shows that the apt-get of these tests would notice: it takes a
// good archive, and none of the bad ones, nor a package that only the machine's
// own archive has.
func TestAptRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	hello := find(t, w.debs, changedPackage)
	other := debrepotest.NewKey("other")
	good := archive(t, w.debs, w.release(), w.u.Key())
	expired := w.release()
	expired.ValidUntil = time.Now().Add(-time.Hour).Truncate(time.Second)
	future := w.release()
	future.Date = time.Now().Add(48 * time.Hour).Truncate(time.Second)
	damage := func(path string) map[string][]byte {
		files := archive(t, w.debs, w.release(), w.u.Key())
		files[path] = slices.Clone(files[path])
		files[path][len(files[path])/2] ^= 1
		return files
	}
	unsigned := archive(t, w.debs, w.release(), w.u.Key())
	delete(unsigned, "dists/stable/InRelease")
	cases := []struct {
		name  string
		files map[string][]byte
		why   string // "" succeeds
	}{
		{"a good archive is taken", good, ""},
		{"a Release that is no longer valid", archive(t, w.debs, expired, w.u.Key()), "is expired"},
		{"a Release of the day after tomorrow", archive(t, w.debs, future, w.u.Key()), "is not valid yet"},
		{"another key", archive(t, w.debs, w.release(), other), "is not signed"},
		{"no signature", unsigned, "is not signed"},
		{"a damaged InRelease", damage("dists/stable/InRelease"), "is not signed"},
		{"a damaged package", damage(hello.path()), "Hash Sum mismatch"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client := newApt(t, w.arch, serveFiles(t, c.files), w.u.Keyring)
			err := client.update()
			if err == nil {
				err = client.gets(hello)
			}
			if c.why == "" {
				must(t, err)
			} else {
				fails(t, c.name, c.why, err)
			}
		})
	}
	t.Run("a package that the region lacks", func(t *testing.T) {
		client := w.apt()
		must(t, client.update())
		_, err := client.install(foreignPackage)
		fails(t, foreignPackage, "Unable to locate package", err)
		fails(t, foreignPackage, "Unable to locate package", client.gets(deb{name: foreignPackage}))
	})
}

// TestInstallersRefuse shows the same of pip and uv: a project that only the
// machine's own index has, and a file that is not what its page says.
func TestInstallersRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	page, bad := w.lie(t)
	for _, i := range newInstallers(t, w.in) {
		t.Run(i.name, func(t *testing.T) {
			one := []string{changedProject}
			must(t, i.gets(page, one, one))
			fails(t, "another digest", strings.Repeat("0", 64), i.gets(bad, one, one))
			must(t, i.gets(w.index(), one, one))
			fails(t, "a project that the region lacks", foreignProject, i.gets(w.index(), []string{foreignProject}, nil))
		})
	}
}

// lie returns two indexes of changedProject: one is right, the other gives another digest.
func (w *world) lie(t *testing.T) (good, bad string) {
	t.Helper()
	lying := lab.NewUpstream(t)
	plain := w.old
	plain.Metadata = nil // what is damaged then is the wheel itself
	lying.Objects(changedProject, plain)
	good = lying.URL + "/pypi/simple/"
	resp, err := http.Get(good + changedProject + "/")
	must(t, err)
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	must(t, err, resp.Body.Close())
	sum := debrepotest.Digests(w.old.Data).SHA256
	wrong := strings.Replace(body.String(), `"sha256":"`+sum, `"sha256":"`+strings.Repeat("0", 64), 1)
	if wrong == body.String() {
		t.Fatal(wrong)
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/simple/") {
			http.Redirect(rw, r, lying.URL+"/pypi"+r.URL.Path, http.StatusFound)
			return
		}
		rw.Header().Set("Content-Type", simpleindex.MediaV1JSON)
		rw.Write([]byte(wrong))
	}))
	t.Cleanup(s.Close)
	return good, s.URL + "/simple/"
}
