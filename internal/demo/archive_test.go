package demo_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/demo"
)

// readArchive walks the archive from the signatures to every package and proves each.
func readArchive(t testing.TB, u *demo.Upstream) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, suite := range []string{"demo", "demo-updates"} {
		readSuite(t, u, suite, files, false)
	}
	return files
}

// readSuite reads a suite as apt does, by hash. With indexesOnly it stops there.
func readSuite(t testing.TB, u *demo.Upstream, suite string, files map[string][]byte, indexesOnly bool) *debrepo.Release {
	t.Helper()
	root := "/debian/dists/" + suite + "/"
	rel := release(t, u, suite)
	for _, index := range rel.Indexes("main", "amd64") {
		plain, ok := index.Plain()
		if !ok || len(index.Forms) != 3 {
			t.Fatalf("%s: forms %v", index.Path, index.Forms)
		}
		for _, form := range index.Forms[:2] {
			for _, name := range debrepo.ByHashPaths(form) {
				data := fetch(t, u, root+name)
				if !indexesOnly && !bytes.Equal(data, fetch(t, u, root+form.Path)) {
					t.Errorf("%s differs from its by-hash file", form.Path)
				}
				if got := debrepotest.Digests(data).SHA256; got != form.Hashes.SHA256 {
					t.Errorf("%s: digest %s", name, got)
				}
			}
			readPackages(t, u, form, plain.Size, fetch(t, u, root+debrepo.ByHashPaths(form)[0]), files, indexesOnly)
		}
	}
	return rel
}

func readPackages(t testing.TB, u *demo.Upstream, form debrepo.File, size int64, data []byte, files map[string][]byte, indexesOnly bool) {
	t.Helper()
	r, err := debrepo.Decompress(form.Path, bytes.NewReader(data), size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p, err := range debrepo.ReadPackages(r) {
		if err != nil {
			t.Fatal(err)
		}
		if indexesOnly {
			continue
		}
		deb := fetch(t, u, "/debian/"+p.Filename)
		if debrepotest.Digests(deb) != p.Hashes || int64(len(deb)) != p.Size {
			t.Errorf("%s is not what Packages says", p.Filename)
		}
		files["/debian/"+p.Filename] = deb
	}
}

func release(t testing.TB, u *demo.Upstream, suite string) *debrepo.Release {
	t.Helper()
	keyring, err := debrepo.ReadKeyring(bytes.NewReader(u.Keyring()))
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := debrepo.Verify(keyring, fetch(t, u, "/debian/dists/"+suite+"/InRelease"))
	if err != nil {
		t.Fatal(err)
	}
	rel, err := debrepo.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

func TestRelease(t *testing.T) {
	rel := release(t, upstream(t, demo.Options{}), "demo-updates")
	rel.Files = nil
	date := rel.Date
	want := &debrepo.Release{Origin: "MirrorCycle demo", Label: "MirrorCycle demo", Suite: "demo-updates", Codename: "demo-updates",
		Description: "made up packages to try a mirror on", Date: date, ValidUntil: date.Add(7 * 24 * time.Hour), AcquireByHash: true,
		Architectures: []string{"amd64"}, Components: []string{"main"}}
	if d := cmp.Diff(want, rel); d != "" {
		t.Error(d)
	}
	if age := start.Sub(date); age < 0 || age > time.Minute {
		t.Errorf("the Date is %s old", age)
	}
}

// TestDatesRise makes steps within one second: clients refuse a Date that goes back.
func TestDatesRise(t *testing.T) {
	u := upstream(t, demo.Options{})
	seen := map[string]string{}
	last := time.Time{}
	for range 20 {
		step(t, u)
		for _, suite := range []string{"demo", "demo-updates"} {
			in := string(fetch(t, u, "/debian/dists/"+suite+"/InRelease"))
			if date := release(t, u, suite).Date; in != seen[suite] {
				if seen[suite] != "" && !date.After(last) {
					t.Errorf("%s: signed anew with %s after %s", suite, date, last)
				}
				if date.After(start) {
					t.Errorf("%s: Date %s is in the future", suite, date)
				}
				seen[suite], last = in, maxTime(last, date)
			}
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestUnchangedSuiteKeepsItsBytes: a step of the index leaves the archive alone,
// until the signature is about to expire.
func TestUnchangedSuiteKeepsItsBytes(t *testing.T) {
	now := start
	u := upstream(t, demo.Options{Now: func() time.Time { return now }})
	read := func() string { return string(fetch(t, u, "/debian/dists/demo/InRelease")) }
	before := read()
	step(t, u) // demo-updates
	step(t, u) // the index
	if read() != before {
		t.Error("signed anew without a change")
	}
	now = now.Add(6*24*time.Hour + time.Hour)
	step(t, u)
	if read() == before {
		t.Error("about to expire and not signed anew")
	}
}

// TestDroppedFiles: what a step drops is there for a while as at real archives.
func TestDroppedFiles(t *testing.T) {
	u := upstream(t, demo.Options{})
	before := readArchive(t, u)
	oldIndex := debrepo.ByHashPaths(release(t, u, "demo-updates").Indexes("main", "amd64")[0].Forms[0])[0]
	var dropped string
	for dropped == "" {
		step(t, u)
		now := readArchive(t, u)
		for name := range before {
			if _, ok := now[name]; !ok {
				dropped = name
			}
		}
	}
	if !strings.Contains(u.Describe(), "is dropped") {
		t.Error(u.Describe())
	}
	fetch(t, u, dropped)
	fetch(t, u, "/debian/dists/demo-updates/"+oldIndex)
	step(t, u)
	if res := get(u, dropped); res.StatusCode != 404 {
		t.Errorf("%s is still there", dropped)
	}
	for range 12 {
		step(t, u)
	}
	if res := get(u, "/debian/dists/demo-updates/"+oldIndex); res.StatusCode != 404 {
		t.Error("indexes by hash are kept for ever")
	}
}
