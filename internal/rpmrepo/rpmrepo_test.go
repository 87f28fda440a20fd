package rpmrepo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo"
)

var (
	hex256 = strings.Repeat("ab", 32)
	hex1   = strings.Repeat("cd", 20)
)

func entry(kind, href, sum string) string {
	return `<data type="` + kind + `">` + sum + `<location href="` + href + `"/></data>`
}

func sum256(hex string) string { return `<checksum type="sha256">` + hex + `</checksum>` }

func repomd(entries ...string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm"><revision>1700000000</revision>` +
		strings.Join(entries, "\n") + `</repomd>`
}

func TestRepomd(t *testing.T) {
	got, err := rpmrepo.ParseRepomd([]byte(repomd(
		`<data type="primary">`+sum256(hex256)+`<open-checksum type="sha256">nonsense</open-checksum><location xml:base="http://e.example.org/" href="repodata/`+hex256+`-primary.xml.gz"/><timestamp>1700000001.5</timestamp><size>12</size><open-size>wrong</open-size></data>`,
		`<data type="x-vendor"><checksum type="sha">`+hex1+`</checksum><location href="repodata/vendor.bin"/></data>`)))
	if err != nil {
		t.Fatal(err)
	}
	want := &rpmrepo.Repomd{Revision: "1700000000", Data: []rpmrepo.Data{
		{Type: "primary", Href: "repodata/" + hex256 + "-primary.xml.gz", Base: "http://e.example.org/", Checksum: rpmrepo.Checksum{Type: "sha256", Hex: hex256}, Size: 12, Timestamp: 1700000001},
		{Type: "x-vendor", Href: "repodata/vendor.bin", Checksum: rpmrepo.Checksum{Type: "sha1", Hex: hex1}, Size: -1},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got.Data[0].NamesContent() || got.Data[1].NamesContent() {
		t.Error("a name with its checksum was not told from one without")
	}
}

func TestRepomdRefused(t *testing.T) {
	good := entry("primary", "repodata/p.xml", sum256(hex256))
	for name, text := range map[string]string{
		"empty":                  "",
		"page of a portal":       "<html><body>log in</body></html>",
		"no data":                repomd(),
		"without checksum":       repomd(entry("primary", "repodata/p.xml", "")),
		"upper-case checksum":    repomd(entry("primary", "repodata/p.xml", sum256(strings.ToUpper(hex256)))),
		"checksum with blanks":   repomd(entry("primary", "repodata/p.xml", sum256(" "+hex256))),
		"unknown checksum type":  repomd(entry("primary", "repodata/p.xml", `<checksum type="crc32">abcdabcd</checksum>`)),
		"checksum of wrong size": repomd(entry("primary", "repodata/p.xml", sum256(hex1))),
		"without location":       repomd(`<data type="primary">` + sum256(hex256) + `</data>`),
		"cut short":              repomd(good)[:200],
		"document type":          `<!DOCTYPE repomd [<!ENTITY a "b">]>` + repomd(good),
		"second document":        repomd(good) + repomd(good),
		"too many entries":       repomd(strings.Repeat(good, 2001)),
		"too large":              repomd(good + strings.Repeat(" ", rpmrepo.MaxRepomd)),
		"other encoding":         strings.Replace(repomd(good), "UTF-8", "EBCDIC", 1),
	} {
		if _, err := rpmrepo.ParseRepomd([]byte(text)); !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		revision   string
		stamp      int64
		was        string
		wasStamp   int64
		want       bool
		whatItIsOf string
	}{
		{"2", 0, "3", 0, true, "revision"},
		{"3", 1, "2", 9, false, "a newer revision with older files"},
		{"0", 5, "0", 6, true, "timestamp where the revision is 0"},
		{"0", 6, "0", 5, false, "newer"},
		{"", 5, "", 6, true, "no revision"},
		{"AL2023", 5, "1700000000", 6, true, "a revision that is no number"},
		{"7", 5, "7", 6, true, "the same revision"},
		{"7", 0, "7", 6, false, "nothing to compare"},
		{"7", 6, "7", 6, false, "the same"},
	} {
		r := rpmrepo.Repomd{Revision: tt.revision, Data: []rpmrepo.Data{{Timestamp: tt.stamp}}}
		if got := r.Older(tt.was, tt.wasStamp); got != tt.want {
			t.Errorf("%s: %v", tt.whatItIsOf, got)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ dir, href, want string }{
		{"9/BaseOS/x86_64/os", "Packages/a/alpha-1.0-1.x86_64.rpm", "9/BaseOS/x86_64/os/Packages/a/alpha-1.0-1.x86_64.rpm"},
		{"9/x/os", "../../pool/a.rpm", "9/pool/a.rpm"},
		{"core/guids/abc/x86_64", "../../../../blobstore/00/a.rpm", "blobstore/00/a.rpm"},
		{".", "a.rpm", "a.rpm"},
		{"", "a.rpm", "a.rpm"},
		{"d", "/a.rpm", "d/a.rpm"},
		{"d", "g++-1.0^git1~rc%25.rpm", "d/g++-1.0^git1~rc%25.rpm"},
		{"d", "./a//b.rpm", "d/a/b.rpm"},
		{"d", "../../e.rpm", ""},
		{".", "../e.rpm", ""},
		{"d", "..", ""},
		{"d", "", ""},
		{"d", ".", ""},
		{"d", "a/", ""},
		{"d", "a\x00b", ""},
		{"d", "a\nb", ""},
		{"d", `..\..\a.rpm`, ""},
		{"d", ".mirror/generation.json", ""},
		{"d", "a\xff.rpm", ""},
		{"d", strings.Repeat("a", 256), ""},
		{"d", strings.Repeat("a/", 1100) + "b", ""},
	} {
		got, err := rpmrepo.Resolve(tt.dir, tt.href)
		if got != tt.want || (tt.want == "") != errors.Is(err, fault.Hostile) {
			t.Errorf("Resolve(%q, %.60q) = %q, %v", tt.dir, tt.href, got, err)
		}
	}
	if _, err := rpmrepo.ResolveData("a/b", "../p.xml"); !errors.Is(err, fault.Hostile) {
		t.Errorf("metadata beside the repository: %v", err)
	}
}

func pkg(name, href string, more ...string) string {
	return `<package type="rpm"><name>` + name + `</name><arch>x86_64</arch><version epoch="1" ver="2.0~rc1" rel="3"/>` +
		`<checksum type="sha256" pkgid="YES">` + hex256 + `</checksum><summary>a &amp; b</summary><description>` + strings.Join(more, "") + `</description>` +
		`<size package="77" installed="1" archive="2"/><location href="` + href + `"/><format><rpm:license>x</rpm:license><rpm:provides><rpm:entry name="q&quot;&gt;"/></rpm:provides><file>/etc/a</file></format></package>`
}

func primary(packages ...string) string {
	return "<?xml version=\"1.0\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" packages=\"99\">\n" + strings.Join(packages, "\n") + "</metadata>\n"
}

func read(text string) (out []rpmrepo.Package, err error) {
	for p, err := range rpmrepo.ReadPrimary(strings.NewReader(text)) {
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
	return out, nil
}

func TestPrimary(t *testing.T) {
	got, err := read(primary(pkg("alpha", "Packages/a/g++&amp;-&#x31;&#48;.rpm", "<![CDATA[ <package> ]]> &lt;location href='x'/>"),
		`<!-- <package> -->`, strings.Replace(pkg("beta", "b>c.rpm"), "<location ", `<location xml:base='http://e.example.org/a"b>/' `, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sum := rpmrepo.Checksum{Type: "sha256", Hex: hex256}
	want := []rpmrepo.Package{
		{Name: "alpha", Arch: "x86_64", Epoch: "1", Version: "2.0~rc1", Release: "3", Checksum: sum, Size: 77, Href: "Packages/a/g++&-10.rpm"},
		{Name: "beta", Arch: "x86_64", Epoch: "1", Version: "2.0~rc1", Release: "3", Checksum: sum, Size: 77, Href: "b>c.rpm", Base: `http://e.example.org/a"b>/`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := read(primary()); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v", got, err)
	}
}

func TestPrimaryRefused(t *testing.T) {
	whole := primary(pkg("alpha", "a.rpm"))
	for name, tt := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"empty":                    {"", fault.Malformed},
		"cut in a package":         {whole[:len(whole)/2], fault.Malformed},
		"cut after the package":    {strings.TrimSuffix(whole, "</metadata>\n"), fault.Malformed},
		"another root":             {"<filelists></filelists>", fault.Malformed},
		"page of a portal":         {"<html><body>log in</body></html>", fault.Malformed},
		"document type":            {"<!DOCTYPE m [<!ENTITY a \"b\">]>" + whole, fault.Hostile},
		"package without location": {strings.Replace(whole, `href="a.rpm"`, ``, 1), fault.Malformed},
		"package without checksum": {strings.Replace(whole, sumTag, "", 1), fault.Malformed},
		"unknown checksum":         {strings.Replace(whole, `"sha256"`, `"sha999"`, 1), fault.Malformed},
		"nested without end":       {"<metadata>" + strings.Repeat("<a>", 100), fault.Hostile},
		"endless tag":              {"<metadata><package " + strings.Repeat(`a="b" `, 4<<20), fault.Hostile},
		"endless text":             {primary(pkg("a", "a.rpm", strings.Repeat("x", 17<<20))), fault.Hostile},
		"too many ends":            {"<metadata></metadata></metadata>", fault.Malformed},
	} {
		if _, err := read(tt.text); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %.200v, want %s", name, err, tt.kind)
		}
	}
}

var sumTag = `<checksum type="sha256" pkgid="YES">` + hex256 + `</checksum>`

func TestDeltas(t *testing.T) {
	text := `<?xml version="1.0"?><prestodelta><newpackage name="a" epoch="0" version="2" release="1" arch="x86_64"><delta oldversion="1">` +
		`<filename>drpms/a-1_2.drpm</filename><sequence>a-1</sequence><size>9</size><checksum type="sha256">` + hex256 + `</checksum></delta></newpackage></prestodelta>`
	var got []rpmrepo.Package
	for d, err := range rpmrepo.ReadDeltas(strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	want := []rpmrepo.Package{{Href: "drpms/a-1_2.drpm", Size: 9, Checksum: rpmrepo.Checksum{Type: "sha256", Hex: hex256}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, bad := range map[string]string{
		"no file name": strings.Replace(text, "<filename>drpms/a-1_2.drpm</filename>", "", 1),
		"no checksum":  strings.Replace(text, `<checksum type="sha256">`+hex256+`</checksum>`, "", 1),
		"cut":          text[:200],
	} {
		var err error
		for _, err = range rpmrepo.ReadDeltas(strings.NewReader(bad)) {
		}
		if !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTreeinfo(t *testing.T) {
	got, err := rpmrepo.ParseTreeinfo([]byte("[checksums]\nimages/boot.iso = sha256:" + hex256 + "\nrepodata/repomd.xml = sha256:" + hex256 +
		"\n[general]\nfamily = Test\n[images-x86_64]\nboot.iso = images/boot.iso\nkernel = images/pxeboot/vmlinuz\n[stage2]\nmainimage = images/install.img\n"))
	want := []rpmrepo.Image{{Path: "images/boot.iso", Checksum: rpmrepo.Checksum{Type: "sha256", Hex: hex256}}, {Path: "images/pxeboot/vmlinuz"}, {Path: "images/install.img"}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	if _, err := rpmrepo.ParseTreeinfo([]byte("[checksums]\na = sha256:xyz\n")); !errors.Is(err, fault.Malformed) {
		t.Error(err)
	}
	if _, err := rpmrepo.ParseTreeinfo([]byte("[images-x]\n" + strings.Repeat("a = b\n", 2000))); !errors.Is(err, fault.Hostile) {
		t.Error(err)
	}
}

func metalink(urls string) string {
	return `<?xml version="1.0" encoding="utf-8"?><metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager"><files><file name="repomd.xml">` +
		`<mm0:timestamp>1</mm0:timestamp><size>3</size><verification><hash type="md5">900150983cd24fb0d6963f7d28e17f72</hash><hash type="sha256">ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash></verification>` +
		`<mm0:alternates><mm0:alternate><mm0:timestamp>0</mm0:timestamp><size>0</size><verification><hash type="sha1">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash></verification></mm0:alternate></mm0:alternates>` +
		`<resources maxconnections="1">` + urls + `</resources></file></files></metalink>`
}

func TestMetalink(t *testing.T) {
	m, err := rpmrepo.ParseMetalink([]byte(metalink(`<url protocol="http" preference="9">http://b.example.org/os/repodata/repomd.xml</url>` +
		`<url protocol="rsync" preference="100">rsync://a.example.org/os/repodata/repomd.xml</url><url preference="10">https://a.example.org/os/repodata/repomd.xml</url>`)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"https://a.example.org/os", "http://b.example.org/os"}, m.Bases); d != "" || m.MaxConnections != 1 {
		t.Error(d, m.MaxConnections)
	}
	if !m.Names([]byte("abc")) || !m.Names(nil) || m.Names([]byte("abd")) {
		t.Error("the versions are not told by their checksums")
	}
	for name, text := range map[string]string{"no server": metalink(""), "rsync only": metalink(`<url>rsync://a.example.org/repodata/repomd.xml</url>`),
		"no checksum": strings.ReplaceAll(metalink(`<url>http://a.example.org/repodata/repomd.xml</url>`), "<hash ", "<other "), "page": "<html></html>"} {
		if _, err := rpmrepo.ParseMetalink([]byte(text)); !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := rpmrepo.ParseMirrorList([]byte("# comment\nhttp://a.example.org/os/\n\nftp://b.example.org/\nhttps://c.example.org/x\nhttp://a.example.org/os\n"))
	if d := cmp.Diff([]string{"http://a.example.org/os", "https://c.example.org/x"}, list); err != nil || d != "" {
		t.Error(err, d)
	}
	if _, err := rpmrepo.ParseMirrorList([]byte("<html>")); !errors.Is(err, fault.Malformed) {
		t.Error(err)
	}
	if !rpmrepo.IsMetalink([]byte(metalink(""))) || rpmrepo.IsMetalink([]byte("http://a.example.org/\n")) {
		t.Error("a metalink is not told from a list")
	}
}

// BenchmarkPrimary reads 70,000 packages, unpacked.
func BenchmarkPrimary(b *testing.B) {
	var text strings.Builder
	text.WriteString("<metadata>")
	for i := range 70000 {
		text.WriteString(pkg(fmt.Sprint("package", i), fmt.Sprintf("Packages/p/package%d.rpm", i), strings.Repeat("described <![CDATA[<]]> ", 80)))
	}
	text.WriteString("</metadata>")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range rpmrepo.ReadPrimary(strings.NewReader(text.String())) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 70000 {
			b.Fatal(n)
		}
	}
}
