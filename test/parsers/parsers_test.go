// Package parsers_test has every parser of foreign bytes read what is worst for it, at two sizes: what it allocates may grow with the input, and no faster.
package parsers_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/hostconf"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

// worst are inputs of about n bytes that ask most of a parser.
var worst = []struct {
	name  string
	input func(n int) []byte
	parse func(data []byte)
}{
	{"requirements: one line in pieces", repeat("", "a\\\n", ""), requirementFile},
	{"requirements: one blank a line", repeat("x", " \\\n", ""), requirementFile},
	{"requirements: short lines", repeat("", "a\n", ""), requirementFile},
	{"requirements: bad lines", repeat("", "a ?\nb\n", ""), requirementFile},
	{"requirements: one marker", repeat("a; ", "os_name=='a' or ", "os_name=='a'"), requirementFile},
	{"requirements: parentheses", repeat("a; ", "(", ""), requirementFile},
	{"requirements: specifiers", repeat("a", ">1,", ">1"), requirementFile},
	{"Packages: one long field", repeat("Package: a\nDescription: ", "a", "\n"), packages},
	{"Packages: one folded field", repeat("Package: a\nDescription: a\n", " a\n", ""), packages},
	{"Packages: many fields", numbered("Package: a\n", "X%d: 1\n", ""), packages},
	{"Packages: one field again and again", repeat("Package: a\n", "Size: 1\n", ""), packages},
	{"Packages: small stanzas", numbered("", "Package: p%d\nFilename: p\nSize: 1\n\n", ""), packages},
	{"Release: files", numbered("Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n", " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 f%d\n", ""), release},
	{"Release: components", numbered("Date: Thu, 01 Jan 2026 00:00:00 UTC\nComponents:", " c%d", "\n"), release},
	{"project page: files", numbered(`{"meta":{"api-version":"1.1"},"name":"a","files":[{"filename":"a-0.zip","url":"x","hashes":{}}`, `,{"filename":"a-%d.zip","url":"../a.zip","hashes":{}}`, "]}"), page},
	{"project page: nesting", repeat(`{"meta":{"api-version":"1.1"},"x":`, "[", ""), page},
	{"project page: one text", repeat(`{"meta":{"api-version":"1.1"},"name":"`, "a", `","files":[]}`), page},
	{"root page: projects", numbered(`{"meta":{"api-version":"1.1"},"projects":[{"name":"a"}`, `,{"name":"p%d"}`, "]}"), root},
	{"METADATA: folded field", repeat("Metadata-Version: 2.1\nName: a\nVersion: 1\nSummary: a\n", "  a\n", "\n"), metadata},
	{"METADATA: requirements", repeat("Metadata-Version: 2.1\nName: a\nVersion: 1\n", "Requires-Dist: a>1\n", "\n"), metadata},
	{"tags of a wheel", repeat("py3.", "a.", "a-none-any"), func(data []byte) { _, _ = wheel.ParseTags(string(data)) }},
	{"a version", repeat("1", ".1", ""), func(data []byte) { _ = simpleindex.ValidVersion(string(data)) }},
	{"a wheel with many files", wheelOf, func(data []byte) {
		_, _ = wheel.Inspect(bytes.NewReader(data), int64(len(data)), "a-1-py3-none-any.whl")
	}},
	{"a wheel of one ELF: names", func(n int) []byte { return elfWheel(n, 0) }, audit},
	{"a wheel of one ELF: compressed names", func(n int) []byte { return elfWheel(n, uint64(elf.SHF_COMPRESSED)) }, audit},
	{"project page: HTML links", numbered("<html><body>", `<a href="a-%d.zip#sha256=0">a</a>`, "</body>"), htmlPage},
	{"project page: HTML attributes", numbered("<html><a ", "a%d=b ", ">"), htmlPage},
	{"project page: HTML nesting", repeat("<html>", "<div>", ""), htmlPage},
	{"root page: HTML links", numbered("<html><body>", `<a href="p%d/">p</a>`, "</body>"), func(data []byte) { _, _, _ = simpleindex.ReadRootHTML(data, "https://index.example.org/simple/") }},
	{"repomd.xml: data", numbered("<repomd>", `<data type="t%d"><checksum type="sha256">0</checksum></data>`, "</repomd>"), repomd},
	{"repomd.xml: nesting", repeat("<repomd>", "<a>", ""), repomd},
	{"repomd.xml: attributes", numbered("<repomd ", `a%d="" `, "/>"), repomd},
	{"primary.xml: small packages", repeat(`<metadata packages="1">`, `<package type="rpm"><name>a</name></package>`, "</metadata>"), primary},
	{"primary.xml: one package", repeat(`<metadata packages="1"><package type="rpm"><name>a</name>`, "<x/>", "</package></metadata>"), primary},
	{"metalink: servers", numbered(`<metalink><files><file name="repomd.xml"><resources>`, `<url>http://a%d.example.org/</url>`, "</resources></file></files></metalink>"), func(data []byte) { _, _ = rpmrepo.ParseMetalink(data) }},
	{"rpm: a header of tags", rpmOf(func(n int) (tags, store int) { return n / 16, 0 }), rpmHeader},
	{"rpm: a header of one text", rpmOf(func(n int) (tags, store int) { return 1, n }), rpmHeader},
	{"spec: mirrors", shorter(numbered(specHead, "[[mirror]]\nname = \"m%d\"\nkind = \"pypi\"\n", "")), spec},
	{"spec: regions", shorter(numbered(specHead, "[[region]]\nname = \"m%d\"\n", "")), spec},
	{"spec: keys", shorter(numbered(specHead, "k%d = 1\n", "")), spec},
	{"spec: projects", shorter(numbered(specHead+"[[mirror]]\nname = \"a\"\nkind = \"pypi\"\nprojects = [", "\"p%d\",", "]\n")), spec},
	{"spec: tables", shorter(numbered(specHead, "[t%d]\n", "")), spec},
	{"spec: nesting", shorter(repeat("a = ", "[", "")), spec},
	{"spec: one key", shorter(repeat("a", ".a", " = 1")), spec},
	{"apt's sources", repeat("Types: deb\nURIs: http://a.example.org/x\nSuites:", " s", "\n"), func(data []byte) {
		_, _ = hostconf.Found{Sources: hostconf.ParseDeb822(string(data)), Architecture: "amd64"}.Spec()
	}},
	{"pip.conf", repeat("[global]\nextra-index-url =\n", " x\n", ""), func(data []byte) { _ = hostconf.ParsePip(string(data)) }},
}

func requirementFile(data []byte) {
	all, _, err := requirements.ParseFile("f", data)
	if err == nil {
		requirements.Want([]requirements.Ref{{Requirements: all, Constraints: all}}, map[string]requirements.Environment{"p": requirements.Linux("3.11", "")})
	}
}

func packages(data []byte) {
	for range debrepo.ReadPackages(bytes.NewReader(data)) {
	}
}

func release(data []byte) { _, _ = debrepo.ParseRelease(data) }
func page(data []byte) {
	_, _ = simpleindex.ParseProject(data, "a", "https://index.example.org/simple/a/")
}
func metadata(data []byte) { _, _ = wheel.ParseMetadata(data) }

func root(data []byte) {
	for range simpleindex.ReadRoot(bytes.NewReader(data)).Projects() {
	}
}

func repeat(head, piece, tail string) func(int) []byte {
	return func(n int) []byte { return []byte(head + strings.Repeat(piece, n/len(piece)) + tail) }
}

func numbered(head, piece, tail string) func(int) []byte {
	return func(n int) []byte {
		b := bytes.NewBufferString(head)
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(b, piece, i)
		}
		b.WriteString(tail)
		return b.Bytes()
	}
}

func wheelOf(n int) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n / 100 {
		w, err := z.Create(fmt.Sprintf("a/%d.py", i))
		if err == nil {
			_, err = io.WriteString(w, "")
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestWorstInputs compares what a parser allocates for an input and for one that
// is eight times as large.
func TestWorstInputs(t *testing.T) {
	const small, factor = 128 << 10, 8
	for _, w := range worst {
		data := w.input(small)
		_, before := cost(w.parse, data)
		large := w.input(small * factor)
		spent, after := cost(w.parse, large)
		growth := float64(after) / float64(max(before, 64<<10))
		t.Logf("%-36s %5d kB in, %7d kB allocated, %5.1f times as much as for an eighth, %v", w.name, len(large)>>10, after>>10, growth, spent.Round(time.Millisecond))
		if growth > 3*factor {
			t.Errorf("%s: allocates %d bytes for %d of input, and %.0f times as much for %d times", w.name, before, len(data), growth, factor)
		}
	}
}

// cost is the time of processors that a call takes, its garbage collection
// included, and the bytes that it allocates. The tests here run one after the other.
func cost(parse func([]byte), data []byte) (time.Duration, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processorTime()
	parse(data)
	spent := processorTime() - start
	runtime.ReadMemStats(&after)
	return spent, after.TotalAlloc - before.TotalAlloc
}

// processorTime is what this process has used so far: other load of the machine does not count.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
