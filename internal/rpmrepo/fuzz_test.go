package rpmrepo_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo"
)

// knows fails for an error without a kind: upstream's bytes must not look like our own disk's failure.
func knows(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) == "" {
		t.Errorf("error without a kind: %v", err)
	}
}

func FuzzRepomd(f *testing.F) {
	f.Add([]byte(repomd(entry("primary", "repodata/p.xml", sum256(hex256)))))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rpmrepo.ParseRepomd(data)
		knows(t, err)
		if err != nil {
			return
		}
		for _, d := range r.Data {
			p, err := rpmrepo.ResolveData("a/b", d.Href)
			knows(t, err)
			if err == nil && !strings.HasPrefix(p, "a/b/") {
				t.Errorf("%q leads to %q", d.Href, p)
			}
		}
	})
}

func FuzzPrimary(f *testing.F) {
	f.Add([]byte(primary(pkg("alpha", "a.rpm", "&#x41;<![CDATA[x]]>"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		for p, err := range rpmrepo.ReadPrimary(bytes.NewReader(data)) {
			knows(t, err)
			if err == nil && (p.Href == "" || p.Checksum.New() == nil) {
				t.Errorf("package without location or checksum: %+v", p)
			}
		}
		for _, err := range rpmrepo.ReadDeltas(bytes.NewReader(data)) {
			knows(t, err)
		}
	})
}

func FuzzSmall(f *testing.F) {
	f.Add([]byte(metalink(`<url preference="10">https://a.example.org/os/repodata/repomd.xml</url>`)))
	f.Add([]byte("[checksums]\na = sha256:" + hex256 + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := rpmrepo.ParseMetalink(data)
		knows(t, err)
		_, err = rpmrepo.ParseMirrorList(data)
		knows(t, err)
		_, err = rpmrepo.ParseTreeinfo(data)
		knows(t, err)
	})
}

func FuzzProve(f *testing.F) {
	for _, name := range []string{"v3", "v6"} {
		data, err := os.ReadFile("testdata/" + name + ".rpm")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	keys := keyring(f, "v3", "v6")
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := rpmrepo.Prove("a.rpm", bytes.NewReader(data), keys)
		knows(t, err)
	})
}
