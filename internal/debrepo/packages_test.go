package debrepo_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

func stanza(fields ...string) string {
	base := []string{"Package: hello", "Version: 2.10-3", "Architecture: amd64", "Filename: pool/main/h/hello/hello_2.10-3_amd64.deb", "Size: 52000", "SHA256: " + sha256a}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		replaced := false
		for i, b := range base {
			if strings.HasPrefix(b, name+":") {
				base[i], replaced = f, true
				if value == "" {
					base[i] = "X-Nothing: here"
				}
			}
		}
		if !replaced {
			base = append(base, f)
		}
	}
	return strings.Join(base, "\n") + "\n"
}

func readAll(text string) (out []debrepo.Package, err error) {
	for p, err := range debrepo.ReadPackages(strings.NewReader(text)) {
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
	return out, nil
}

func TestReadPackages(t *testing.T) {
	hello := debrepo.Package{Name: "hello", Version: "2.10-3", Architecture: "amd64", Filename: "pool/main/h/hello/hello_2.10-3_amd64.deb",
		Size: 52000, Hashes: debrepo.Hashes{SHA256: sha256a}}
	with := func(change func(*debrepo.Package)) []debrepo.Package {
		p := hello
		change(&p)
		return []debrepo.Package{p}
	}
	tests := []struct {
		name, text string
		want       []debrepo.Package
	}{
		{"empty", "", nil},
		{"only blank lines", "\n\n\n", nil},
		{"one", stanza(), with(func(*debrepo.Package) {})},
		{"two", stanza() + "\n" + stanza("Package: second"), append(with(func(*debrepo.Package) {}), with(func(p *debrepo.Package) { p.Name = "second" })...)},
		{"many blank lines between", "\n" + stanza() + "\n\n\n" + stanza() + "\n\n", []debrepo.Package{hello, hello}},
		{"no newline at the end", strings.TrimSuffix(stanza(), "\n"), with(func(*debrepo.Package) {})},
		{"carriage returns", strings.ReplaceAll(stanza(), "\n", "\r\n"), with(func(*debrepo.Package) {})},
		{"folded fields", stanza("Description: short", " long", " .", "\tmore"), with(func(*debrepo.Package) {})},
		{"field names in any case", strings.ReplaceAll(stanza(), "SHA256", "sha256"), with(func(*debrepo.Package) {})},
		{"digest in capitals", stanza("SHA256: " + strings.ToUpper(sha256a)), with(func(*debrepo.Package) {})},
		{"SHA512 alone", stanza("SHA256:", "SHA512: "+sha512a), with(func(p *debrepo.Package) { p.Hashes = debrepo.Hashes{SHA512: sha512a} })},
		{"every digest", stanza("MD5sum: "+md5a, "SHA1: "+sha1a, "SHA512: "+sha512a), with(func(p *debrepo.Package) {
			p.Hashes = debrepo.Hashes{MD5: md5a, SHA1: sha1a, SHA256: sha256a, SHA512: sha512a}
		})},
		{"flat repository", stanza("Filename: ./hello_2.10-3_amd64.deb"), with(func(p *debrepo.Package) { p.Filename = "hello_2.10-3_amd64.deb" })},
		{"flat repository with its directory", stanza("Filename: .//./hello//hello_2.10-3_amd64.deb"), with(func(p *debrepo.Package) { p.Filename = "hello/hello_2.10-3_amd64.deb" })},
		{"long line of no interest", stanza("Provides: " + strings.Repeat("virtual, ", 50_000)), with(func(*debrepo.Package) {})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadPackagesRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		kind       fault.Kind
	}{
		{"no Package", stanza("Package:"), fault.Malformed},
		{"no Version", stanza("Version:"), fault.Malformed},
		{"field twice", stanza() + "Filename: pool/other.deb\n", fault.Malformed},
		{"folded Filename", "Package: a\nFilename: pool/a.deb\n /../../b\n", fault.Malformed},
		{"no field", stanza() + "garbage\n", fault.Malformed},
		{"portal page", "<html>\n<body>\n", fault.Malformed},
		{"continuation first", " x\n", fault.Malformed},
		{"absolute Filename", stanza("Filename: /etc/passwd"), fault.Hostile},
		{"Filename leaves the tree", stanza("Filename: pool/../../../etc/passwd"), fault.Hostile},
		{"Filename unclean and absolute", stanza("Filename: //pool/./a.deb"), fault.Hostile},
		{"Filename unclean, and leaves the tree", stanza("Filename: .//../a.deb"), fault.Hostile},
		{"Filename is a directory", stanza("Filename: pool//a/"), fault.Hostile},
		{"Filename is a directory's own", stanza("Filename: pool//a/."), fault.Hostile},
		{"Filename in our directory", stanza("Filename: pool/.mirror/a.deb"), fault.Hostile},
		{"Filename with NUL", stanza("Filename: pool/a\x00.deb"), fault.Hostile},
		{"Filename with tab", stanza("Filename: pool/a\tb.deb"), fault.Hostile},
		{"Filename with backslash", stanza(`Filename: pool/a\b.deb`), fault.Hostile},
		{"Filename not UTF-8", stanza("Filename: pool/\xff.deb"), fault.Hostile},
		{"Filename too long", stanza("Filename: " + strings.Repeat("a/", 600) + "a"), fault.Hostile},
		{"wanted line beyond the buffer", stanza("Package: " + strings.Repeat("a", 100_000)), fault.Hostile},
		{"endless line", stanza("Provides: " + strings.Repeat("a", 5<<20)), fault.Hostile},
		{"endless stanza", stanza() + strings.Repeat("Tag: "+strings.Repeat("a", 1000)+"\n", 17_000), fault.Hostile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := readAll(tt.text); !errors.Is(err, tt.kind) {
				t.Fatalf("ReadPackages = %+v, %v; want %v", got, err, tt.kind)
			}
		})
	}
}

// TestFlawedStanza: one stanza that nobody can install from hides no other.
func TestFlawedStanza(t *testing.T) {
	for name, text := range map[string]string{
		"no Filename":       stanza("Filename:"),
		"no Size":           stanza("Size:"),
		"only weak digests": stanza("SHA256:", "MD5sum: "+md5a, "SHA1: "+sha1a),
		"not a size":        stanza("Size: many"),
		"negative size":     stanza("Size: -1"),
		"size beyond int64": stanza("Size: 9999999999999999999"),
		"not a digest":      stanza("SHA256: " + strings.Repeat("z", 64)),
		"short digest":      stanza("SHA256: abc"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(text + "\n" + stanza("Package: other"))
			if err != nil || len(got) != 2 || got[0].Flaw == "" || got[0].Hashes.Proves() || got[1].Flaw != "" || got[1].Name != "other" {
				t.Errorf("ReadPackages = %+v, %v", got, err)
			}
		})
	}
}

func TestReadPackagesReaderFails(t *testing.T) {
	cause := errors.New("connection reset")
	for _, err := range debrepo.ReadPackages(iotest.ErrReader(cause)) {
		if !errors.Is(err, fault.Malformed) || !errors.Is(err, cause) {
			t.Fatalf("err = %v", err)
		}
		return
	}
	t.Fatal("no error")
}

func TestReadPackagesStopsEarly(t *testing.T) {
	for range debrepo.ReadPackages(strings.NewReader(stanza() + "\n" + stanza())) {
		break
	}
}

func TestReadPackagesAllocatesOncePerStanza(t *testing.T) {
	data := bigPackages(1000)
	allocs := testing.AllocsPerRun(3, func() {
		for _, err := range debrepo.ReadPackages(bytes.NewReader(data)) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 1100 {
		t.Errorf("%v allocations for 1000 stanzas", allocs)
	}
}

func TestReadSources(t *testing.T) {
	text := "Package: hello\nBinary: hello\nVersion: 2.10-3\nDirectory: pool/main/h/hello\n" +
		"Files:\n " + md5a + " 10 hello_2.10-3.dsc\n " + md5a + " 20 hello_2.10.orig.tar.gz\n" +
		"Checksums-Sha256:\n " + sha256a + " 10 hello_2.10-3.dsc\n " + sha256a + " 20 hello_2.10.orig.tar.gz\nPackage-List:\n hello deb devel optional arch=any\n"
	var got []debrepo.Source
	for s, err := range debrepo.ReadSources(strings.NewReader(text + "\n" + strings.Replace(text, "Directory: pool/main/h/hello", "Directory: .", 1))) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	files := func(dir string) []debrepo.File {
		h := debrepo.Hashes{MD5: md5a, SHA256: sha256a}
		return []debrepo.File{{Path: dir + "hello_2.10-3.dsc", Size: 10, Hashes: h}, {Path: dir + "hello_2.10.orig.tar.gz", Size: 20, Hashes: h}}
	}
	want := []debrepo.Source{{Name: "hello", Version: "2.10-3", Files: files("pool/main/h/hello/")}, {Name: "hello", Version: "2.10-3", Files: files("")}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	for s, err := range debrepo.ReadSources(strings.NewReader(strings.Replace(text, " "+sha256a+" 20 hello", " "+sha256a+" 20 other", 1))) {
		if err != nil || len(s.Files) != 2 || !strings.HasPrefix(s.Flaw, "pool/main/h/hello/hello_2.10.orig.tar.gz ") {
			t.Errorf("a file with only a weak digest: %+v, %v", s, err)
		}
	}

	for name, tt := range map[string]struct {
		old, new string
		kind     fault.Kind
	}{
		"name with directory": {" 10 hello_2.10-3.dsc", " 10 ../x", fault.Hostile},
		"dot-dot name":        {" 10 hello_2.10-3.dsc", " 10 ..", fault.Hostile},
		"absolute directory":  {"Directory: pool", "Directory: /pool", fault.Hostile},
		"two sizes":           {sha256a + " 10", sha256a + " 11", fault.Malformed},
		"no name":             {"Package: hello", "X: hello", fault.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			var last error
			for _, last = range debrepo.ReadSources(strings.NewReader(strings.Replace(text, tt.old, tt.new, -1))) {
			}
			if !errors.Is(last, tt.kind) {
				t.Errorf("err = %v, want %v", last, tt.kind)
			}
		})
	}
}

func bigPackages(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		debrepo.WritePackage(&b, debrepo.Package{Name: fmt.Sprintf("package-%d", i), Version: "1.0-1", Architecture: "amd64",
			Filename: fmt.Sprintf("pool/main/p/package-%d/package-%d_1.0-1_amd64.deb", i, i), Size: 123456,
			Hashes: debrepo.Hashes{MD5: md5a, SHA256: sha256a}},
			debrepo.Field{Name: "Depends", Value: strings.Repeat("libfoo (>= 1.0), ", 10) + "libc6"},
			debrepo.Field{Name: "Maintainer", Value: "Nobody <nobody@example.org>"},
			debrepo.Field{Name: "Description", Value: "one\n two\n three"},
			debrepo.Field{Name: "Tag", Value: "role::program, use::converting\n works-with::text"},
			debrepo.Field{Name: "Section", Value: "devel"}, debrepo.Field{Name: "Priority", Value: "optional"})
	}
	return b.Bytes()
}

func BenchmarkReadPackages(b *testing.B) {
	data := bigPackages(63_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range debrepo.ReadPackages(bytes.NewReader(data)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func FuzzReadPackages(f *testing.F) {
	f.Add([]byte(stanza() + "\n" + stanza("Filename: ../x")))
	f.Add([]byte("Package: a\n b\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for p, err := range debrepo.ReadPackages(bytes.NewReader(data)) {
			if err != nil {
				if !errors.Is(err, fault.Malformed) && !errors.Is(err, fault.Hostile) {
					t.Fatalf("err = %v", err)
				}
				break
			}
			if p.Flaw != "" {
				continue
			}
			checkPath(t, p.Filename)
			if p.Size < 0 || !p.Hashes.Proves() {
				t.Fatalf("accepted %+v", p)
			}
		}
		for s, err := range debrepo.ReadSources(bytes.NewReader(data)) {
			if err != nil {
				break
			}
			for _, file := range s.Files {
				checkPath(t, file.Path)
			}
		}
	})
}
