package debrepotest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
)

func archive() *debrepotest.Repo {
	hello := debrepotest.Package{Deb: debrepotest.Deb{Name: "hello", Version: "1:2.10-3", Arch: "amd64", Depends: "libhello"}}
	lib := debrepotest.Package{Component: "contrib", Deb: debrepotest.Deb{Name: "libhello", Version: "2.10-3"}}
	other := debrepotest.Package{Deb: debrepotest.Deb{Name: "other", Version: "1", Arch: "arm64"}}
	return &debrepotest.Repo{Suites: []debrepotest.Suite{
		{Name: "stable", Release: debrepo.Release{AcquireByHash: true}, Packages: []debrepotest.Package{hello, lib, other}},
		{Name: "stable-security", Release: debrepo.Release{Components: []string{"updates/main"}}, Compressions: []string{"", "zst"},
			Packages: []debrepotest.Package{hello}},
		{Name: "unsigned", Unsigned: true, Packages: []debrepotest.Package{hello}},
	}}
}

// TestRepoChain walks from the signature to every package, as a client does.
func TestRepoChain(t *testing.T) {
	r := archive()
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	keyring := debrepo.NewKeyring(r.Keys...)
	found := map[string][]string{}
	for _, suite := range []string{"stable", "stable-security"} {
		root := "dists/" + suite + "/"
		text, _, err := debrepo.Verify(keyring, files[root+"InRelease"])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(files[root+"Release"]), string(text)); d != "" {
			t.Error(d)
		}
		if _, err := debrepo.VerifyDetached(keyring, files[root+"Release"], files[root+"Release.gpg"]); err != nil {
			t.Error(err)
		}
		rel, err := debrepo.ParseRelease(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, component := range rel.Components {
			for _, arch := range rel.Architectures {
				for _, index := range rel.Indexes(component, arch) {
					for _, name := range readIndex(t, files, root, index, rel.AcquireByHash) {
						found[suite] = append(found[suite], component+" "+arch+" "+name)
					}
				}
			}
		}
	}
	want := map[string][]string{
		"stable": {
			"contrib amd64 pool/contrib/libh/libhello/libhello_2.10-3_all.deb", "contrib arm64 pool/contrib/libh/libhello/libhello_2.10-3_all.deb",
			"main amd64 pool/main/h/hello/hello_2.10-3_amd64.deb", "main arm64 pool/main/o/other/other_1_arm64.deb"},
		"stable-security": {"updates/main amd64 pool/main/h/hello/hello_2.10-3_amd64.deb"},
	}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	if files["dists/unsigned/InRelease"] != nil || files["dists/unsigned/Release"] == nil {
		t.Error("unsigned suite is signed or lacks its Release")
	}
}

// readIndex proves every served form of an index and the packages in it.
func readIndex(t *testing.T, files map[string][]byte, root string, index debrepo.Index, byHash bool) (names []string) {
	t.Helper()
	plain, ok := index.Plain()
	if !ok {
		t.Fatalf("%s: no plain form listed", index.Path)
	}
	served := 0
	for _, form := range index.Forms {
		data, ok := files[root+form.Path]
		if !ok {
			continue
		}
		served++
		if got := debrepotest.Digests(data); got.SHA256 != form.Hashes.SHA256 || int64(len(data)) != form.Size {
			t.Errorf("%s does not match Release", form.Path)
		}
		for _, p := range debrepo.ByHashPaths(form) {
			if byHash != bytes.Equal(files[root+p], data) {
				t.Errorf("%s: by-hash %v, want %v", p, !byHash, byHash)
			}
		}
		r, err := debrepo.Decompress(form.Path, bytes.NewReader(data), plain.Size)
		if err != nil {
			t.Fatal(err)
		}
		names = names[:0]
		for p, err := range debrepo.ReadPackages(r) {
			if err != nil {
				t.Fatal(err)
			}
			if got := debrepotest.Digests(files[p.Filename]); got != p.Hashes {
				t.Errorf("%s does not match Packages", p.Filename)
			}
			names = append(names, p.Filename)
		}
	}
	if served != 2 {
		t.Errorf("%s: %d forms served", index.Path, served)
	}
	return names
}

func TestRepoWrite(t *testing.T) {
	dir := t.TempDir()
	r := archive()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasSuffix(name, "elease") && !strings.HasSuffix(name, ".gpg") && !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRepoRefusesTwoContentsUnderOneName(t *testing.T) {
	a := debrepotest.Deb{Name: "a", Version: "1"}
	b := a
	b.Files = map[string]string{"/other": "x"}
	r := debrepotest.Repo{Suites: []debrepotest.Suite{{Name: "s", Packages: []debrepotest.Package{{Deb: a}, {Deb: b}}}}}
	if _, err := r.Files(); err == nil {
		t.Error("accepted")
	}
}

// TestDeb reads the package back by the format's definition (deb(5)).
func TestDeb(t *testing.T) {
	d := debrepotest.Deb{Name: "tool", Version: "1:1.0-1", Arch: "amd64", Depends: "libc6", Files: map[string]string{"/usr/bin/tool": "#!/bin/sh\n", "/etc/tool.conf": "a=1\n"}}
	if d.Filename() != "tool_1.0-1_amd64.deb" {
		t.Error(d.Filename())
	}
	data := d.Bytes()
	if !bytes.Equal(data, d.Bytes()) {
		t.Error("not deterministic")
	}
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("no ar archive")
	}
	var got []string
	for len(rest) > 0 {
		name := strings.TrimSpace(string(rest[:16]))
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || string(rest[58:60]) != "`\n" {
			t.Fatalf("member %s: %v", name, err)
		}
		got = append(got, name)
		if strings.HasSuffix(name, ".gz") {
			got = append(got, listTar(t, rest[60:60+size])...)
		}
		rest = rest[60+size+size%2:]
	}
	want := []string{"debian-binary", "control.tar.gz", "./", "./control", "data.tar.gz", "./", "./etc/", "./etc/tool.conf", "./usr/", "./usr/bin/", "./usr/bin/tool"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func listTar(t *testing.T, data []byte) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
