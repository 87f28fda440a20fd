package debrepo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

var (
	md5a    = strings.Repeat("a", 32)
	sha1a   = strings.Repeat("b", 40)
	sha256a = strings.Repeat("c", 64)
	sha512a = strings.Repeat("d", 128)
)

func TestParseRelease(t *testing.T) {
	text := "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: bookworm-security\nVersion: 12\n" +
		"Date: Sat, 5 Jul 2025 09:08:07 UTC\nValid-Until: Sat, 12 Jul 2025 09:08:07 UTC\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n" +
		"Acquire-By-Hash: yes\nArchitectures: all amd64\nComponents: updates/main updates/contrib\nNo-Support-for-Architecture-all: Packages\n" +
		"Description: Debian 12\n Security Updates\nX-Unknown: 1\n" +
		"MD5Sum:\n " + md5a + " 10 main/binary-amd64/Packages\n" +
		"SHA1:\n " + sha1a + " 10 main/binary-amd64/Packages\n" +
		"SHA256:\n " + strings.ToUpper(sha256a) + "       10 main/binary-amd64/Packages\n " + sha256a + " 4 ./contrib/Contents-amd64.gz\n " + sha256a + " 4 Release\n" +
		"SHA512:\n " + sha512a + " 10 main/binary-amd64/Packages\n"
	got, err := debrepo.ParseRelease([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &debrepo.Release{
		Origin: "Debian", Label: "Debian-Security", Suite: "stable-security", Codename: "bookworm-security", Version: "12", Description: "Debian 12",
		Date: time.Date(2025, 7, 5, 9, 8, 7, 0, time.UTC), ValidUntil: time.Date(2025, 7, 12, 9, 8, 7, 0, time.UTC),
		NotAutomatic: true, ButAutomaticUpgrades: true, AcquireByHash: true, NoSupportForArchitectureAll: "Packages",
		Architectures: []string{"all", "amd64"}, Components: []string{"updates/main", "updates/contrib"},
		Files: []debrepo.File{
			{Path: "contrib/Contents-amd64.gz", Size: 4, Hashes: debrepo.Hashes{SHA256: sha256a}},
			{Path: "main/binary-amd64/Packages", Size: 10, Hashes: debrepo.Hashes{MD5: md5a, SHA1: sha1a, SHA256: sha256a, SHA512: sha512a}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	again, err := debrepo.ParseRelease(got.Text())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, again); d != "" {
		t.Error("Text does not read back:", d)
	}
}

func TestParseReleaseRefuses(t *testing.T) {
	entry := func(lines ...string) string { return "Suite: s\nSHA256:\n " + strings.Join(lines, "\n ") + "\n" }
	tests := []struct {
		name, text string
		kind       fault.Kind
	}{
		{"empty", "", fault.Malformed},
		{"portal page", "<html><body>log in</body></html>\n", fault.Malformed},
		{"field twice", "Suite: a\nsuite: b\n", fault.Malformed},
		{"second stanza", "Suite: a\n\nSuite: b\n", fault.Malformed},
		{"unreadable end", "Valid-Until: tomorrow\n", fault.Malformed},
		{"end in another zone", "Valid-Until: Sat, 05 Jul 2025 09:08:07 CET\n", fault.Malformed},
		{"path twice", entry(sha256a+" 1 a", sha256a+" 1 a"), fault.Malformed},
		{"two sizes", "Suite: s\nSHA256:\n " + sha256a + " 1 a\nMD5Sum:\n " + md5a + " 2 a\n", fault.Malformed},
		{"short digest", entry("abc 1 a"), fault.Malformed},
		{"digest of another algorithm", entry(md5a + " 1 a"), fault.Malformed},
		{"negative size", entry(sha256a + " -1 a"), fault.Malformed},
		{"size beyond int64", entry(sha256a + " 99999999999999999999 a"), fault.Malformed},
		{"path with blank", entry(sha256a + " 1 a b"), fault.Malformed},
		{"entry beside the field", "SHA256: " + sha256a + " 1 a\n", fault.Malformed},
		{"absolute path", entry(sha256a + " 1 /etc/passwd"), fault.Hostile},
		{"parent directory", entry(sha256a + " 1 main/../../x"), fault.Hostile},
		{"unclean path", entry(sha256a + " 1 main//x"), fault.Hostile},
		{"our own directory", entry(sha256a + " 1 .mirror/generation.json"), fault.Hostile},
		{"backslash", entry(sha256a + ` 1 a\b`), fault.Hostile},
		{"control character", entry(sha256a + " 1 a\x01b"), fault.Hostile},
		{"NUL", "Suite: a\x00b\n", fault.Hostile},
		{"long element", entry(sha256a + " 1 " + strings.Repeat("x", 256)), fault.Hostile},
		{"long line", "Description: " + strings.Repeat("x", 1<<20) + "\n", fault.Hostile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := debrepo.ParseRelease([]byte(tt.text)); !errors.Is(err, tt.kind) {
				t.Fatalf("ParseRelease = %+v, %v; want %v", r, err, tt.kind)
			}
		})
	}
}

func TestIndexes(t *testing.T) {
	r := &debrepo.Release{Components: []string{"updates/main", "extra"}, Architectures: []string{"all", "amd64"}}
	for _, p := range []string{
		"Contents-amd64.gz", "extra/binary-amd64/Packages", "main/Contents-amd64.gz", "main/Contents-udeb-amd64.gz",
		"main/binary-all/Packages.xz", "main/binary-amd64/Packages", "main/binary-amd64/Packages.gz", "main/binary-amd64/Packages.xz",
		"main/binary-amd64/Packages.diff/Index", "main/binary-amd64/Release", "main/binary-arm64/Packages",
		"main/cnf/Commands-amd64.xz", "main/debian-installer/binary-amd64/Packages.xz", "main/dep11/Components-amd64.yml.gz",
		"main/dep11/icons-64x64.tar.gz", "main/i18n/Translation-en.bz2", "main/i18n/Translation-en.diff/Index",
		"main/installer-amd64/current/images/SHA256SUMS", "main/source/Release", "main/source/Sources.xz", "main/uefi/shim.json",
	} {
		r.Files = append(r.Files, debrepo.File{Path: p})
	}
	tests := []struct {
		component, arch string
		want            []string
	}{
		{"main", "amd64", []string{
			"contents Contents-amd64 .gz", "contents main/Contents-amd64 .gz", "contents main/Contents-udeb-amd64 .gz",
			"packages main/binary-amd64/Packages .xz .gz plain", "pdiffs main/binary-amd64/Packages.diff/Index plain",
			"release main/binary-amd64/Release plain", "cnf main/cnf/Commands-amd64 .xz",
			"udebs main/debian-installer/binary-amd64/Packages .xz", "dep11 main/dep11/Components-amd64.yml .gz",
			"installer main/installer-amd64/current/images/SHA256SUMS plain"}},
		{"updates/main", "all", []string{"packages main/binary-all/Packages .xz"}},
		{"main", "source", []string{"release main/source/Release plain", "sources main/source/Sources .xz"}},
		{"main", "", []string{"dep11 main/dep11/icons-64x64.tar .gz", "translations main/i18n/Translation-en .bz2",
			"pdiffs main/i18n/Translation-en.diff/Index plain", "other main/uefi/shim.json plain"}},
		{"extra", "amd64", []string{"contents Contents-amd64 .gz", "packages extra/binary-amd64/Packages plain"}},
		{"absent", "armhf", nil},
	}
	for _, tt := range tests {
		t.Run(tt.component+"/"+tt.arch, func(t *testing.T) {
			var got []string
			for _, i := range r.Indexes(tt.component, tt.arch) {
				s := fmt.Sprintf("%s %s", i.Kind, i.Path)
				for _, f := range i.Forms {
					if f.Path == i.Path {
						s += " plain"
					} else {
						s += " " + strings.TrimPrefix(f.Path, i.Path)
					}
				}
				got = append(got, s)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIndexesOfFlatRepository(t *testing.T) {
	r := &debrepo.Release{Files: []debrepo.File{{Path: "Packages"}, {Path: "Packages.gz"}, {Path: "Sources.gz"}}}
	got := r.Indexes("", "amd64")
	if len(got) != 1 || got[0].Kind != debrepo.KindPackages || len(got[0].Forms) != 2 {
		t.Errorf("Indexes = %+v", got)
	}
	if got := r.Indexes("", "source"); len(got) != 1 || got[0].Kind != debrepo.KindSources {
		t.Errorf("Indexes = %+v", got)
	}
}

// TestUnreadableDate is a flaw of a Release that apt takes.
func TestUnreadableDate(t *testing.T) {
	for _, date := range []string{"yesterday", "Sat, 05 Jul 2025 09:08:07 CET", "Sat, 05 Jul 2025 09:08:07 +0200", ""} {
		r, err := debrepo.ParseRelease([]byte("Suite: s\nDate: " + date + "\n"))
		if err != nil || !r.Date.IsZero() || r.DateFlaw == "" {
			t.Errorf("%q: %+v, %v", date, r, err)
		}
	}
}

func TestSeparateAll(t *testing.T) {
	for _, tt := range []struct {
		r    debrepo.Release
		want bool
	}{
		{debrepo.Release{Architectures: []string{"amd64"}}, false},
		{debrepo.Release{Architectures: []string{"all", "amd64"}}, true},
		{debrepo.Release{Architectures: []string{"all", "amd64"}, NoSupportForArchitectureAll: "Packages"}, false},
	} {
		if got := tt.r.SeparateAll(); got != tt.want {
			t.Errorf("%+v: %v", tt.r, got)
		}
	}
}

func ExampleByHashPath() {
	fmt.Println(debrepo.ByHashPath("main/binary-amd64/Packages.xz", debrepo.SHA256, "d2ae"))
	fmt.Println(debrepo.ByHashPath("Packages.gz", debrepo.MD5, "9e10"))
	// Output:
	// main/binary-amd64/by-hash/SHA256/d2ae
	// by-hash/MD5Sum/9e10
}

func ExampleByHashPaths() {
	f := debrepo.File{Path: "main/source/Sources.xz", Hashes: debrepo.Hashes{MD5: "9e10", SHA256: "d2ae"}}
	for _, p := range debrepo.ByHashPaths(f) {
		fmt.Println(p)
	}
	// Output:
	// main/source/by-hash/MD5Sum/9e10
	// main/source/by-hash/SHA256/d2ae
}

func ExampleTrimCompression() {
	fmt.Println(debrepo.TrimCompression("main/binary-amd64/Packages.xz"))
	// Output: main/binary-amd64/Packages
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte("Suite: s\nDate: Sat, 05 Jul 2025 09:08:07 UTC\nSHA256:\n " + sha256a + " 1 main/binary-amd64/Packages\n"))
	f.Add([]byte("Suite: s\nMD5Sum:\n " + md5a + " 1 ../x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := debrepo.ParseRelease(data)
		if err != nil {
			if !errors.Is(err, fault.Malformed) && !errors.Is(err, fault.Hostile) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		for _, file := range r.Files {
			checkPath(t, file.Path)
		}
		r.Indexes("main", "amd64")
	})
}

// checkPath fails for any path that could leave a tree.
func checkPath(t *testing.T, p string) {
	t.Helper()
	if p == "" || p[0] == '/' || strings.ContainsAny(p, "\x00\n\r\\") {
		t.Fatalf("accepted path %q", p)
	}
	for _, e := range strings.Split(p, "/") {
		if e == "" || e == "." || e == ".." || e == ".mirror" {
			t.Fatalf("accepted path %q", p)
		}
	}
}
