package simpleindex_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

func readRoot(text string) (*simpleindex.RootReader, []simpleindex.RootProject, error) {
	r := simpleindex.ReadRoot(strings.NewReader(text))
	var out []simpleindex.RootProject
	for p, err := range r.Projects() {
		if err != nil {
			return r, out, err
		}
		out = append(out, p)
	}
	return r, out, nil
}

func TestReadRoot(t *testing.T) {
	two := []simpleindex.RootProject{{Name: "Nova", LastSerial: 5}, {Name: "oslo.config", LastSerial: 9}}
	list := `[{"name":"Nova","_last-serial":5,"x":[1]},{"_last-serial":9,"name":"oslo.config"}]`
	tests := []struct {
		name, text string
		serial     int64
		want       []simpleindex.RootProject
	}{
		{"meta first", `{"meta":{"api-version":"1.4","_last-serial":9},"projects":` + list + `}`, 9, two},
		{"meta last, unknown keys", `{"x":{"y":[]},"projects":` + list + `,"meta":{"api-version":"1.0","_last-serial":9}}`, 9, two},
		{"without serials", `{"meta":{"api-version":"1.0"},"projects":[{"name":"a"}]}`, 0, []simpleindex.RootProject{{Name: "a"}}},
		{"no project", `{"meta":{"api-version":"1.4"},"projects":[]}` + "\n", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, got, err := readRoot(tt.text)
			if err != nil || r.LastSerial() != tt.serial {
				t.Fatalf("serial %d, %v", r.LastSerial(), err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadRootPassesOverBadNames(t *testing.T) {
	r, got, err := readRoot(`{"meta":{"api-version":"1.4"},"projects":[{"name":"../x"},{"name":"good"},{"name":""}]}`)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if n, examples := r.Refused(); n != 2 || examples[0] != `"../x"` {
		t.Errorf("Refused = %d, %v", n, examples)
	}
}

func TestReadRootRefuses(t *testing.T) {
	whole := `{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"b"}]}`
	tests := map[string]string{
		"empty": "", "portal page": "<html>", "a list": "[]", "no meta": `{"projects":[]}`, "no projects": `{"meta":{"api-version":"1.4"}}`,
		"projects is an object": `{"meta":{"api-version":"1.4"},"projects":{}}`, "API 2": `{"meta":{"api-version":"2.0"},"projects":[]}`,
		"two lists": `{"meta":{"api-version":"1.4"},"projects":[],"projects":[]}`, "data after the end": whole + "x", "second object": whole + whole,
		"entry is text": `{"meta":{"api-version":"1.4"},"projects":["a"]}`,
	}
	for i := 1; i < len(whole); i++ {
		tests[fmt.Sprintf("cut after %d bytes", i)] = whole[:i]
	}
	for name, text := range tests {
		if _, got, err := readRoot(text); !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v, %v; want malformed", name, got, err)
		}
	}
}

func TestReadRootStopsEarly(t *testing.T) {
	r := simpleindex.ReadRoot(strings.NewReader(`{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"b"}]}`))
	for _, err := range r.Projects() {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
}

// TestRootReadsItself is what makes a mirror of a mirror work.
func TestRootReadsItself(t *testing.T) {
	want := []simpleindex.RootProject{{Name: "Nova", LastSerial: 5}, {Name: "oslo.config", LastSerial: 9}, {Name: "zero"}}
	var b bytes.Buffer
	if err := simpleindex.RenderRootJSON(&b, 9, slices.Values(want)); err != nil {
		t.Fatal(err)
	}
	r, got, err := readRoot(b.String())
	if err != nil || r.LastSerial() != 9 {
		t.Fatalf("serial %d, %v", r.LastSerial(), err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzReadRoot(f *testing.F) {
	f.Add(`{"meta":{"api-version":"1.4","_last-serial":9},"projects":[{"name":"Nova","_last-serial":5},{"name":"../x"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, got, err := readRoot(text)
		if err != nil && !errors.Is(err, fault.Malformed) {
			t.Fatalf("err = %v", err)
		}
		for _, p := range got {
			if !simpleindex.ValidName(p.Name) {
				t.Fatalf("accepted %q", p.Name)
			}
		}
	})
}
