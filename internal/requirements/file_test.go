package requirements_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/requirements"
)

const global = "\ufeff# a comment; with a semicolon\r\n" + `
## section
Babel>=2.3.4,!=2.4.0 # BSD
oslo.messaging[kafka]>=14.1.0 # a comment
Routes>=2.3.1;python_version>='3.8' # MIT
zope.interface \
   >=5.0
-r other.txt
--index-url https://example.org/simple
pywin32>=1;sys_platform=='win32'
unpinned
url-only @ https://example.org/x.zip
what is this
certifi>=1 --hash=sha256:abc \
   --hash=sha256:def
`

const upper = `Babel===2.14.0
oslo-messaging===14.7.0
ROUTES===2.5.1;python_version=='3.9'
Routes===2.5.2;python_version>='3.11'
zope.interface===6.0;python_version>='3.8'
Zope_Interface===6.0.0;python_version>='3.10'
certifi===2024.2.2
pywin32===306
never.asked===1
ranged>=1
`

func read(t *testing.T, text string) ([]requirements.Requirement, []requirements.Note) {
	t.Helper()
	all, notes, err := requirements.ParseFile("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all, notes
}

func TestFilesWithAllThatStandsInThem(t *testing.T) {
	all, notes := read(t, global)
	var got, noted []string
	for _, r := range all {
		got = append(got, r.String())
	}
	want := []string{"babel>=2.3.4,!=2.4.0", "oslo-messaging[kafka]>=14.1.0", "routes>=2.3.1;python_version>='3.8'", "zope-interface>=5.0",
		"pywin32>=1;sys_platform=='win32'", "unpinned", "url-only @ https://example.org/x.zip", "certifi>=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, n := range notes {
		noted = append(noted, n.String())
	}
	want = []string{`f:9: option "-r" is not followed; write the file itself into the spec`,
		`f:10: option "--index-url" is not followed; write the file itself into the spec`,
		`f:14: specifier: no operator of PEP 440`}
	if diff := cmp.Diff(want, noted); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoFileOfRequirements(t *testing.T) {
	for name, text := range map[string]string{
		"captive portal": "<!DOCTYPE html>\n<html>\n<body>Please log in</body>\n</html>\n",
		"JSON":           `{"message":"Not Found"}`,
		"binary":         "a\x00b",
		"not UTF-8":      "caf\xe9\n",
	} {
		_, _, err := requirements.ParseFile("https://example.org/f", []byte(text))
		if !errors.Is(err, fault.Malformed) || !strings.Contains(err.Error(), "https://example.org/f") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, notes := read(t, "# nothing\n\n"); all != nil || notes != nil {
		t.Error("an empty file:", all, notes)
	}
}

func TestPinsByPlatform(t *testing.T) {
	global, _ := read(t, global)
	upper, _ := read(t, upper)
	pins, notes := requirements.Pins(global, upper, requirements.Linux("3.11", "x86_64"))
	want := []requirements.Pin{{Name: "babel", Version: "2.14.0"}, {Name: "certifi", Version: "2024.2.2"},
		{Name: "oslo-messaging", Version: "14.7.0"}, {Name: "routes", Version: "2.5.2"}, {Name: "zope-interface", Version: "6.0"}}
	if diff := cmp.Diff(want, pins); diff != "" {
		t.Error(diff)
	}
	wantNotes := []string{"unpinned is pinned by no constraint", "url-only is asked for at a URL, which no index has"}
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Error(diff)
	}
	if pins, _ := requirements.Pins(global, upper, requirements.Linux("3.9", "")); pins[3].Version != "2.5.1" {
		t.Error("python 3.9:", pins)
	}
	pins, notes = requirements.Pins(global, upper, nil) // an unknown platform: all that may be
	if len(pins) != 7 || !strings.Contains(notes[0], "routes is pinned to 2 versions at once: [2.5.1 2.5.2]") {
		t.Error("any platform:", pins, notes)
	}
}

func TestWantedComesBackAndNamesItself(t *testing.T) {
	global, notes := read(t, global)
	upper, _ := read(t, upper)
	ref := requirements.Ref{Name: "master", Requirements: global, Constraints: upper, Notes: notes}
	platforms := map[string]requirements.Environment{"debian-12-x86_64": requirements.Linux("3.11", ""), "old": requirements.Linux("3.9", "")}
	data, err := requirements.Want([]requirements.Ref{ref, {Name: "stable", Requirements: global}}, platforms).Encode()
	if err != nil {
		t.Fatal(err)
	}
	w, err := requirements.ParseWanted(data)
	if err != nil || len(w.Platforms["debian-12-x86_64"]) != 5 || len(w.Digest) != 64 {
		t.Fatal(w, err)
	}
	again, err := w.Encode()
	if err != nil || string(again) != string(data) {
		t.Error("another digest for the same wishes:", err)
	}
	data = []byte(strings.Replace(string(data), "2.14.0", "2.14.1", 1))
	if _, err := requirements.ParseWanted(data); !errors.Is(err, fault.Corrupt) {
		t.Error("changed content:", err)
	}
	if _, err := requirements.ParseWanted(nil); !errors.Is(err, fault.Corrupt) {
		t.Error("nothing:", err)
	}
}
