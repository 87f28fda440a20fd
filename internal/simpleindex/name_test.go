package simpleindex_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/simpleindex"
)

func ExampleNormalize() {
	fmt.Println(simpleindex.Normalize("Oslo._-Config"))
	// Output: oslo-config
}

func ExampleObjectPath() {
	blake, sha := strings.Repeat("1", 60), strings.Repeat("0123456789abcdef", 4)
	fmt.Println(simpleindex.ObjectPath("https://files.example.org/packages/ab/cd/"+blake+"/nova-1.0.tar.gz", sha, "nova-1.0.tar.gz"))
	fmt.Println(simpleindex.ObjectPath("https://wheels.example.org/nova-1.0.tar.gz", sha, "nova-1.0.tar.gz"))
	// Output:
	// packages/ab/cd/111111111111111111111111111111111111111111111111111111111111/nova-1.0.tar.gz
	// packages/01/23/456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/nova-1.0.tar.gz
}

func ExampleProjectPath() {
	fmt.Println(simpleindex.ProjectPath("Oslo.Config") + "/" + simpleindex.V1JSONName)
	// Output: simple/oslo-config/index.v1_json
}

func TestObjectPathDistrustsOtherLayouts(t *testing.T) {
	want := "packages/aa/aa/" + strings.Repeat("a", 60) + "/f.zip"
	sixty := strings.Repeat("b", 60)
	for _, u := range []string{
		"https://e.example.org/packages/ab/cd/" + sixty + "/other.zip",
		"https://e.example.org/packages/../cd/" + sixty + "/f.zip",
		"https://e.example.org/packages/abc/d/" + sixty + "/f.zip",
		"https://e.example.org/packages/ab/cd/" + strings.Repeat("B", 60) + "/f.zip",
		"https://e.example.org/packages/ab/cd/short/f.zip",
		"https://e.example.org/f.zip", "", "::",
	} {
		if got := simpleindex.ObjectPath(u, shaA, "f.zip"); got != want {
			t.Errorf("ObjectPath(%q) = %s", u, got)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"nova": true, "oslo.config": true, "A": true, "0": true, "a-b_c.d": true,
		"": false, ".": false, "..": false, "-a": false, "a-": false, "a/b": false, "a b": false, "é": false, "a\x00": false,
		strings.Repeat("a", 214): true, strings.Repeat("a", 215): false,
	} {
		if got := simpleindex.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
}

func TestFileVersion(t *testing.T) {
	tests := []struct {
		project, filename, want string
	}{
		{"nova", "nova-29.0.1.tar.gz", "29.0.1"},
		{"oslo.config", "oslo.config-9.1.0-py3-none-any.whl", "9.1.0"},
		{"oslo-config", "oslo_config-9.1.0-1-py3-none-any.whl", "9.1.0"},
		{"python-novaclient", "python-novaclient-2.0.zip", "2.0"},
		{"python-novaclient", "python_novaclient-2.0-py2.7.egg", "2.0"},
		{"a", "a-1.0-1.tar.bz2", "1.0-1"},
		{"nova", "novaclient-1.0.tar.gz", ""},
		{"nova", "nova-1.0.exe", ""},
		{"nova", "nova-.tar.gz", ""},
	}
	for _, tt := range tests {
		if got, ok := simpleindex.FileVersion(tt.project, tt.filename); got != tt.want || ok != (tt.want != "") {
			t.Errorf("FileVersion(%q, %q) = %q, %v", tt.project, tt.filename, got, ok)
		}
	}
}

// TestCompareVersions holds the order of PEP 440's own examples.
func TestCompareVersions(t *testing.T) {
	ordered := []string{
		"no version", "0.9", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2", "1.0b2.post345.dev456",
		"1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5", "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1",
		"1.10", "20240101123456789012345", "20240101123456789012346", "1!0.1",
	}
	got := slices.Clone(ordered)
	slices.Reverse(got)
	slices.SortStableFunc(got, simpleindex.CompareVersions)
	if d := cmp.Diff(ordered, got); d != "" {
		t.Error(d)
	}
	for _, same := range [][2]string{{"1.0", "v1"}, {"1.0-1", "1.0.post1"}, {"1.0alpha1", "1.0.a-1"}, {"1.0c1", "1.0RC1"}, {"1.0+a.b", "1.0+A_b"}, {"1.0.dev", "1.0dev0"}, {"01.0", "1"}} {
		if simpleindex.CompareVersions(same[0], same[1]) != 0 {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
}

func TestIsPrerelease(t *testing.T) {
	for v, want := range map[string]bool{"1.0": false, "1.0.post1": false, "1.0rc1": true, "1.0.dev3": true, "junk": false} {
		if simpleindex.IsPrerelease(v) != want {
			t.Errorf("IsPrerelease(%s) = %v", v, !want)
		}
	}
}
