package demo_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/simpleindex"
)

// readIndex reads the index from the root to every file and proves each. Pages
// are in it as parsed.
func readIndex(t testing.TB, u *demo.Upstream) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, p := range root(t, u) {
		page := project(t, u, p.Name)
		if page.LastSerial != p.LastSerial || page.Status == simpleindex.Quarantined || len(page.Files) == 0 {
			t.Errorf("%s: serial %d, want %d; %s, %d files", p.Name, page.LastSerial, p.LastSerial, page.Status, len(page.Files))
		}
		files["/pypi/simple/"+page.Name] = fmt.Append(nil, *page)
		for _, f := range page.Files {
			at := pathOf(t, f.URL)
			data := fetch(t, u, at)
			if digest(data) != f.SHA256 || int64(len(data)) != f.Size {
				t.Errorf("%s is not what its page says", f.Filename)
			}
			files[at] = data
			if f.CoreMetadata.Available {
				metadata := fetch(t, u, at+".metadata")
				if digest(metadata) != f.CoreMetadata.SHA256 {
					t.Errorf("%s.metadata is not what its page says", f.Filename)
				}
				files[at+".metadata"] = metadata
			}
		}
	}
	return files
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func pathOf(t testing.TB, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

func root(t testing.TB, u *demo.Upstream) (projects []simpleindex.RootProject) {
	t.Helper()
	r := simpleindex.ReadRoot(bytes.NewReader(fetch(t, u, "/pypi/simple/", "Accept", simpleindex.MediaV1JSON)))
	highest := int64(0)
	for p, err := range r.Projects() {
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, p.LastSerial)
		projects = append(projects, p)
	}
	if r.LastSerial() < highest {
		t.Errorf("serial of the index %d, of a project %d", r.LastSerial(), highest)
	}
	return projects
}

func project(t testing.TB, u *demo.Upstream, name string) *simpleindex.Project {
	t.Helper()
	at := "/pypi/simple/" + simpleindex.Normalize(name) + "/"
	p, err := simpleindex.ParseProject(fetch(t, u, at, "Accept", simpleindex.MediaV1JSON), name, "http://upstream.example.org"+at)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryKindOfPage: the start has an example of what a mirror must keep.
func TestEveryKindOfPage(t *testing.T) {
	u := upstream(t, demo.Options{})
	var yanked, requires, sdists, archived, odd int
	for _, p := range root(t, u) {
		page := project(t, u, p.Name)
		if simpleindex.Normalize(p.Name) != p.Name {
			odd++
		}
		if page.Status == simpleindex.Archived {
			archived++
		}
		for _, f := range page.Files {
			if f.Yanked && f.YankedReason != "" {
				yanked++
			}
			if f.RequiresPython != "" {
				requires++
			}
			if strings.HasSuffix(f.Filename, ".tar.gz") {
				sdists++
			}
			if v, ok := simpleindex.FileVersion(page.Name, f.Filename); !ok || !strings.HasPrefix(v, "1.") {
				t.Errorf("%s: version %q", f.Filename, v)
			}
		}
	}
	if yanked == 0 || requires == 0 || sdists == 0 || archived == 0 || odd == 0 {
		t.Errorf("%d yanked, %d requires-python, %d sdists, %d archived, %d not normalised", yanked, requires, sdists, archived, odd)
	}
}

func TestQuarantine(t *testing.T) {
	u := upstream(t, demo.Options{})
	for !strings.Contains(u.Describe(), "is quarantined") {
		step(t, u)
	}
	words := strings.Fields(strings.TrimSuffix(u.Describe(), " is quarantined"))
	name := words[len(words)-1]
	for _, p := range root(t, u) {
		if p.Name == name {
			t.Errorf("%s is listed", name)
		}
	}
	if p := project(t, u, name); p.Status != simpleindex.Quarantined || len(p.Files) != 0 {
		t.Errorf("%s: %s, %d files", name, p.Status, len(p.Files))
	}
	before := project(t, u, name).LastSerial
	step(t, u)
	step(t, u)
	if p := project(t, u, name); p.Status != simpleindex.Active || len(p.Files) == 0 || p.LastSerial <= before {
		t.Errorf("%s: %s, %d files, serial %d after %d", name, p.Status, len(p.Files), p.LastSerial, before)
	}
}

// TestWheels reads every wheel by the binary distribution format.
func TestWheels(t *testing.T) {
	u := upstream(t, demo.Options{})
	for _, p := range root(t, u) {
		for _, f := range project(t, u, p.Name).Files {
			if !strings.HasSuffix(f.Filename, ".whl") {
				continue
			}
			members := unzip(t, fetch(t, u, pathOf(t, f.URL)))
			stem, _, _ := strings.Cut(f.Filename, "-py3")
			module, version, _ := strings.Cut(stem, "-")
			info := stem + ".dist-info/"
			if d := cmp.Diff(string(fetch(t, u, pathOf(t, f.URL)+".metadata")), members[info+"METADATA"]); d != "" {
				t.Errorf("%s: .metadata is not METADATA:\n%s", f.Filename, d)
			}
			want := ""
			for _, name := range []string{module + "/__init__.py", info + "METADATA", info + "WHEEL"} {
				sum := sha256.Sum256([]byte(members[name]))
				want += fmt.Sprintf("%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(members[name]))
			}
			if d := cmp.Diff(want+info+"RECORD,,\n", members[info+"RECORD"]); d != "" {
				t.Errorf("%s: RECORD:\n%s", f.Filename, d)
			}
			for name, part := range map[string]string{"METADATA": "Name: " + p.Name + "\nVersion: " + version + "\n", "WHEEL": "Tag: py3-none-any\n"} {
				if !strings.Contains(members[info+name], part) {
					t.Errorf("%s: no %q in %s", f.Filename, part, name)
				}
			}
			if len(members) != 4 {
				t.Errorf("%s: %d members", f.Filename, len(members))
			}
		}
	}
}

func unzip(t testing.TB, data []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r) // which checks the CRC
		if err != nil {
			t.Fatal(err)
		}
		members[f.Name] = string(content)
	}
	return members
}

// TestSdist: one top directory, PKG-INFO, and a build backend that it brings along.
func TestSdist(t *testing.T) {
	u := upstream(t, demo.Options{})
	for _, f := range project(t, u, "demo-echo").Files {
		if !strings.HasSuffix(f.Filename, ".tar.gz") {
			continue
		}
		z, err := gzip.NewReader(bytes.NewReader(fetch(t, u, pathOf(t, f.URL))))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
		}
		stem := strings.TrimSuffix(f.Filename, ".tar.gz") + "/"
		if d := cmp.Diff([]string{stem + "PKG-INFO", stem + "pyproject.toml", stem + "backend.py", stem + "demo_echo/__init__.py"}, names); d != "" {
			t.Error(d)
		}
	}
}
