package requirements_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/requirements"
	"mirrorcycle/internal/simpleindex"
)

// answers is what Python's packaging library said; testdata/answers.py made it.
type answers struct {
	Versions   []string            `json:"versions"`
	Less       [][2]string         `json:"less"`
	Equal      [][2]string         `json:"equal"`
	Specifiers map[string][]string `json:"specifiers"`
	Newest     []struct {
		Specifier string   `json:"specifier"`
		Versions  []string `json:"versions"`
		Newest    *string  `json:"newest"`
	} `json:"newest"`
	Doubtful     map[string]bool            `json:"invalid_specifiers"`
	Environments []requirements.Environment `json:"environments"`
	Markers      []struct {
		Marker string  `json:"marker"`
		Holds  []*bool `json:"holds"`
	} `json:"markers"`
	Requirements []struct {
		Text   string   `json:"text"`
		Name   string   `json:"name"`
		Extras []string `json:"extras"`
		URL    string   `json:"url"`
		Holds  []bool   `json:"holds"`
		Admits []string `json:"admits"`
	} `json:"requirements"`
}

func recorded(t *testing.T) (a answers) {
	t.Helper()
	data, err := os.ReadFile("testdata/answers.json")
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil || len(a.Versions) < 30 {
		t.Fatal("the recorded answers:", err)
	}
	return a
}

func TestVersionsComeInPackagingsOrder(t *testing.T) {
	a := recorded(t)
	less, equal := map[[2]string]bool{}, map[[2]string]bool{}
	for _, pair := range a.Less {
		less[pair] = true
	}
	for _, pair := range a.Equal {
		equal[pair] = true
	}
	for i, x := range a.Versions {
		for _, y := range a.Versions[i+1:] {
			got, pair := simpleindex.CompareVersions(x, y), [2]string{x, y}
			if (got < 0) != less[pair] || (got == 0) != equal[pair] {
				t.Errorf("%s against %s: %d", x, y, got)
			}
		}
	}
}

func TestSpecifiersAdmitWhatPackagingAdmits(t *testing.T) {
	a := recorded(t)
	for text, want := range a.Specifiers {
		s, err := requirements.ParseSpecifiers(text)
		if err != nil {
			t.Error(err)
			continue
		}
		got := []string{}
		for _, v := range a.Versions {
			if s.Contains(v) {
				got = append(got, v)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-packaging +got): %s", text, diff)
		}
	}
	for text, want := range a.Doubtful {
		if _, err := requirements.ParseSpecifiers(text); (err == nil) != want {
			t.Errorf("%q: packaging reads it: %v, we say: %v", text, want, err)
		}
	}
}

func TestNewestIsPackagingsFilter(t *testing.T) {
	for _, c := range recorded(t).Newest {
		s, err := requirements.ParseSpecifiers(c.Specifier)
		if err != nil {
			t.Error(err)
			continue
		}
		got, ok := s.Newest(c.Versions)
		if ok != (c.Newest != nil) || ok && simpleindex.CompareVersions(got, *c.Newest) != 0 {
			t.Errorf("%q of %v: got %q, %v", c.Specifier, c.Versions, got, ok)
		}
		backwards := slices.Clone(c.Versions)
		slices.Reverse(backwards)
		if again, _ := s.Newest(backwards); again != got {
			t.Errorf("%q: %q or %q, by the order of the versions", c.Specifier, got, again)
		}
	}
}

func TestMarkersHoldWherePackagingSaysSo(t *testing.T) {
	a := recorded(t)
	for _, c := range a.Markers {
		m, err := requirements.ParseMarker(c.Marker)
		if (err == nil) != (c.Holds != nil) {
			t.Errorf("%s: packaging reads it: %v, we say: %v", c.Marker, c.Holds != nil, err)
			continue
		}
		for i, want := range c.Holds {
			// packaging refuses to judge some comparisons; then we mirror.
			if got := m.In(a.Environments[i]); got != (want == nil || *want) {
				t.Errorf("%s in environment %d: got %v", c.Marker, i, got)
			}
		}
	}
}

// TestUnknownVariablesMayHold: what the spec does not tell of a platform never
// makes a requirement disappear that packaging would keep.
func TestUnknownVariablesMayHold(t *testing.T) {
	a := recorded(t)
	for _, c := range a.Markers {
		m, err := requirements.ParseMarker(c.Marker)
		if err != nil {
			continue
		}
		for i, want := range c.Holds[:2] {
			linux := requirements.Linux(a.Environments[i]["python_version"], "")
			linux["extra"] = a.Environments[i]["extra"]
			if (want == nil || *want) && (!m.In(linux) || !m.In(requirements.Environment{})) {
				t.Errorf("%s may hold in environment %d", c.Marker, i)
			}
		}
	}
	certain := map[string]bool{`python_full_version < "3.9"`: false, `python_full_version >= "3.11.4"`: true, `python_full_version == "3.11.4"`: true,
		`python_full_version == "3.10.4"`: false, `python_full_version > "3.12"`: false, `sys_platform == "win32"`: false,
		`platform_machine == "x86_64"`: false, `platform_release == "7"`: true, `python_full_version == "3.11.*"`: true, `python_full_version != "3.11.*"`: false}
	for text, want := range certain {
		m, err := requirements.ParseMarker(text)
		if err != nil || m.In(requirements.Linux("3.11", "aarch64")) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestRequirementsReadAsPackagingReadsThem(t *testing.T) {
	a := recorded(t)
	for _, c := range a.Requirements {
		r, err := requirements.Parse(c.Text)
		if (err == nil) != (c.Name != "") {
			t.Errorf("%q: packaging reads %q, we say: %v", c.Text, c.Name, err)
			continue
		}
		if err != nil {
			continue
		}
		got := c
		got.Name, got.Extras, got.URL = r.Name, append([]string{}, r.Extras...), r.URL
		got.Holds, got.Admits = nil, []string{}
		for _, e := range a.Environments {
			got.Holds = append(got.Holds, r.Marker.In(e))
		}
		for _, v := range a.Versions {
			if r.Versions.Contains(v) {
				got.Admits = append(got.Admits, v)
			}
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("%q (-packaging +got): %s", c.Text, diff)
		}
		if again, err := requirements.Parse(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q is written as %q, which reads as %q, %v", c.Text, r, again, err)
		}
		if strings.ContainsAny(r.Name, "_.ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("%q is not normalised", r.Name)
		}
	}
}
