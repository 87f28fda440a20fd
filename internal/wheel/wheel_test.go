package wheel_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

var debian12 = wheel.Platform{Python: "3.11", Machine: "x86_64", Libc: "glibc", Version: "2.36"}

// TestSupportedIsWhatPipSays compares with recorded output; each file's head
// names the command.
func TestSupportedIsWhatPipSays(t *testing.T) {
	for name, p := range map[string]wheel.Platform{
		"pip-debug-3.11.txt": debian12,
		"pip-debug-3.13.txt": {Python: "3.13", Machine: "x86_64", Libc: "glibc", Version: "2.36"},
		"musl-3.13.txt":      {Python: "3.13", Machine: "aarch64", Libc: "musl", Version: "1.2"},
	} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "#") {
				want = append(want, strings.TrimSpace(line))
			}
		}
		for _, tag := range wheel.Supported(p) {
			got = append(got, tag.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestPlatformsThatAreNone(t *testing.T) {
	for _, p := range []wheel.Platform{
		{}, {Python: "3", Machine: "x86_64", Libc: "glibc", Version: "2.36"}, {Python: "2.7", Machine: "x86_64", Libc: "glibc", Version: "2.36"},
		{Python: "3.11", Machine: "x86-64", Libc: "glibc", Version: "2.36"}, {Python: "3.11", Machine: "x86_64", Libc: "glibc", Version: "1.2"},
		{Python: "3.11", Machine: "x86_64", Libc: "musl", Version: "2.36"}, {Python: "3.11", Machine: "x86_64", Libc: "bionic", Version: "2.36"},
	} {
		if err := p.Check(); !errors.Is(err, fault.Config) || wheel.Supported(p) != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestCompatible(t *testing.T) {
	for name, want := range map[string]bool{
		"a-1-py3-none-any.whl": true, "a-1-py2.py3-none-any.whl": true, "a-1-py2-none-any.whl": false, "a-1-py313-none-any.whl": false,
		"a-1-cp311-cp311-linux_x86_64.whl": true, "a-1-cp312-cp312-linux_x86_64.whl": false, "a-1-cp311-cp311-linux_aarch64.whl": false,
		"a-1-cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": true, "a-1-cp312-abi3-manylinux_2_17_x86_64.whl": false,
		"a-1-cp311-cp311-manylinux_2_39_x86_64.whl": false, "a-1-cp311-cp311-musllinux_1_2_x86_64.whl": false, "a-1-cp311-cp311-win_amd64.whl": false,
		"a-1-cp311-none-any.whl": true, "a-1-cp310-cp310-any.whl": false, "a-1-py3-none-manylinux1_x86_64.whl": true,
	} {
		f, err := wheel.ParseFilename(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := wheel.Compatible(f.Tags, debian12); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBestTagWins(t *testing.T) {
	r := wheel.RanksOf(debian12)
	rank := func(s string) int {
		tags, err := wheel.ParseTags(s)
		if err != nil {
			t.Fatal(err)
		}
		n, ok := r.Best(tags)
		if !ok {
			t.Fatalf("%s does not fit", s)
		}
		return n
	}
	worse := []string{"cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-manylinux1_x86_64.manylinux2014_x86_64", "cp311-cp311-linux_x86_64", "cp36-abi3-linux_x86_64", "py3-none-any"}
	if !slices.IsSortedFunc(worse, func(a, b string) int { return rank(a) - rank(b) }) {
		t.Error("not in order")
	}
}

func TestParseFilename(t *testing.T) {
	got, err := wheel.ParseFilename("Oslo.Config_x-1.0_1-1mc2-py2.PY3-none-any.whl")
	want := wheel.Filename{Name: "Oslo.Config_x", Version: "1.0_1", Build: "1mc2", Tags: []wheel.Tag{{"py2", "none", "any"}, {"py3", "none", "any"}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if s := got.String(); s != "Oslo.Config_x-1.0_1-1mc2-py2.py3-none-any.whl" {
		t.Error(s)
	}
	for _, bad := range []string{
		"", ".whl", "a-1-py3-none-any.zip", "a-1-py3-none.whl", "a-1-b1-py3-none-any.whl", "a-1-1-2-py3-none-any.whl", "a-x-py3-none-any.whl",
		"../a-1-py3-none-any.whl", "a-1-py3-none-a/b.whl", "a-1-py3--any.whl", "a-1-py3.-none-any.whl", "_a-1-py3-none-any.whl", "a-1--py3-none-any.whl",
		"a-1-" + strings.Repeat("a.", 50) + "a-" + strings.Repeat("b.", 50) + "b-any.whl",
	} {
		if f, err := wheel.ParseFilename(bad); !errors.Is(err, fault.Malformed) {
			t.Errorf("%q: %+v, %v", bad, f, err)
		}
	}
}

// member is a file of a wheel under test.
type member struct{ name, data string }

func good() []member {
	return []member{
		{"demo/__init__.py", "x = 1\n"},
		{"demo/é,\"quoted\".py", ""},
		{"demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0.0\nRequires-Dist: six\nRequires-Dist: a ;\n  extra == \"x\"\n\nName: other\n"},
		{"demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
}

// record appends a RECORD that is right for the members.
func record(members []member) []member {
	var b strings.Builder
	for _, m := range members {
		sum := sha256.Sum256([]byte(m.data))
		fmt.Fprintf(&b, "\"%s\",sha256=%s,%d\n", strings.ReplaceAll(m.name, `"`, `""`), base64.RawURLEncoding.EncodeToString(sum[:]), len(m.data))
	}
	b.WriteString("demo-1.0.dist-info/RECORD,,\n")
	return append(members, member{"demo-1.0.dist-info/RECORD", b.String()})
}

func pack(members []member) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.Create(m.name)
		if err == nil {
			_, err = w.Write([]byte(m.data))
		}
		if err != nil {
			panic(err) // a bytes.Buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func inspect(data []byte, name string) (*wheel.Wheel, error) {
	return wheel.Inspect(bytes.NewReader(data), int64(len(data)), name)
}

const demo = "demo-1.0-py3-none-any.whl"

func TestInspectOfAWheelThatAgrees(t *testing.T) {
	for _, name := range []string{demo, "demo-1.0-1mc1-py3-none-any.whl"} {
		w, err := inspect(pack(record(good())), name)
		if err != nil {
			t.Fatal(err)
		}
		want := wheel.Metadata{Version: "2.1", Name: "Demo", Release: "1.0.0", RequiresDist: []string{"six", `a ; extra == "x"`}}
		if d := cmp.Diff(want, w.Metadata); d != "" || !w.Pure || w.Files != 5 {
			t.Error(d, w)
		}
	}
}

func TestIsFor(t *testing.T) {
	w, err := inspect(pack(record(good())), demo)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.IsFor("DEMO", "1.0.0", debian12); err != nil {
		t.Error(err)
	}
	for _, err := range []error{w.IsFor("other", "1.0", debian12), w.IsFor("demo", "1.1", debian12), w.IsFor("demo", "1.0", wheel.Platform{Python: "3"})} {
		if !errors.Is(err, fault.Unproved) {
			t.Error(err)
		}
	}
}

// change replaces text in one member after RECORD was made, or before.
func change(members []member, name, from, to string) []member {
	for i, m := range members {
		if strings.HasSuffix(m.name, name) {
			members[i].data = strings.Replace(m.data, from, to, 1)
		}
	}
	return members
}

func TestInspectOfWheelsThatDisagree(t *testing.T) {
	after := func(name, from, to string) []byte { return pack(change(record(good()), name, from, to)) }
	before := func(name, from, to string) []byte { return pack(record(change(good(), name, from, to))) }
	tests := map[string]struct {
		data []byte
		name string
		kind fault.Kind
		says string
	}{
		"not a zip":                {[]byte("hello"), demo, fault.Malformed, "zip"},
		"other name in METADATA":   {before("METADATA", "Name: Demo", "Name: evil"), demo, fault.Unproved, "evil"},
		"other version":            {before("METADATA", "Version: 1.0.0", "Version: 2"), demo, fault.Unproved, "version"},
		"other directory":          {pack(record(good())), "demo-1.1-py3-none-any.whl", fault.Unproved, "directory"},
		"other tags":               {pack(record(good())), "demo-1.0-cp311-cp311-linux_x86_64.whl", fault.Unproved, "tags"},
		"one tag too much":         {before("WHEEL", "Tag:", "Tag: cp311-none-any\nTag:"), demo, fault.Unproved, "too much"},
		"other build":              {before("WHEEL", "Tag:", "Build: 2\nTag:"), demo, fault.Unproved, "build"},
		"wheel version 2":          {before("WHEEL", "1.0", "2.0"), demo, fault.Malformed, "Wheel-Version"},
		"changed file":             {after("__init__.py", "1", "2"), demo, fault.Unproved, "digest"},
		"longer file":              {after("__init__.py", "1", "12"), demo, fault.Unproved, "size"},
		"unlisted file":            {pack(append(record(good()), member{"evil.pth", "import os"})), demo, fault.Unproved, "evil.pth"},
		"listed but missing":       {pack(record(good())[1:]), demo, fault.Unproved, "not there"},
		"listed twice":             {after("RECORD", "demo-1.0.dist-info/RECORD,,\n", "demo-1.0.dist-info/RECORD,,\ndemo-1.0.dist-info/RECORD,,\n"), demo, fault.Unproved, "twice"},
		"weak digest":              {after("RECORD", "sha256=", "md5="), demo, fault.Unproved, "want sha256"},
		"no digest":                {after("RECORD", ",6\n", ",\n"), demo, fault.Unproved, "size"},
		"no RECORD":                {pack(good()), demo, fault.Malformed, "no RECORD"},
		"two dist-infos":           {pack(append(record(good()), member{"b-1.dist-info/METADATA", ""})), demo, fault.Unproved, "b-1.dist-info"},
		"member twice":             {pack(append(record(good()), good()[0])), demo, fault.Unproved, "twice"},
		"member outside":           {pack(append(record(good()), member{"../evil", ""})), demo, fault.Hostile, "evil"},
		"absolute member":          {pack(append(record(good()), member{"/evil", ""})), demo, fault.Hostile, "evil"},
		"file below a file":        {pack(append(record(good()), member{"demo/__init__.py/x", ""})), demo, fault.Hostile, "file and a directory"},
		"symbolic link":            {linked(), demo, fault.Hostile, "neither file"},
		"no name in METADATA":      {before("METADATA", "Name: Demo\n", ""), demo, fault.Malformed, "no Name"},
		"file name is not a wheel": {pack(record(good())), "demo.zip", fault.Malformed, ".whl"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := inspect(tt.data, tt.name)
			if fault.KindOf(err) != tt.kind || w != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %s about %q", err, tt.kind, tt.says)
			}
		})
	}
}

func linked() []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "link"}
	h.SetMode(os.ModeSymlink | 0o777)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write([]byte("/etc/passwd"))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}
