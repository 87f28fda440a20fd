package mirrorspec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/mirrorspec"
)

func FuzzParse(f *testing.F) {
	for _, name := range []string{"design", "everything", "least", "faults"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".toml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a.b = 1\n[a]\n[[a.c]]\n[a.c.d]\n[[a]]\nx = {y = [[{}]]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, faults := mirrorspec.Parse("f", data)
		if (spec == nil) == (len(faults) == 0) {
			t.Fatalf("spec %v with faults %v", spec, faults)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Problem == "" || strings.Contains(fault.Error(), "\n") {
				t.Errorf("fault %q", fault.Error())
			}
		}
		if spec == nil {
			return
		}
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var again mirrorspec.Spec
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*spec, again); diff != "" {
			t.Errorf("JSON loses something:\n%s", diff)
		}
	})
}
