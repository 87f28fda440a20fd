package requirements_test

import (
	"testing"

	"mirrorcycle/internal/requirements"
)

func FuzzFile(f *testing.F) {
	f.Add([]byte(global))
	f.Add([]byte(upper))
	f.Add([]byte("a\\\n#b\\\n\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, notes, err := requirements.ParseFile("f", data)
		if err != nil {
			return
		}
		for _, n := range notes {
			_ = n.String()
		}
		w := requirements.Want([]requirements.Ref{{Requirements: all, Constraints: all}},
			map[string]requirements.Environment{"p": requirements.Linux("3.11", "x86_64"), "q": {}})
		if text, err := w.Encode(); err != nil {
			t.Fatal(err)
		} else if _, err := requirements.ParseWanted(text); err != nil {
			t.Fatal(err)
		}
		for _, line := range w.Requirements { // what is kept as text reads the same
			if r, err := requirements.Parse(line); err != nil || r.String() != line {
				t.Fatalf("%q reads as %q: %v", line, r, err)
			}
		}
	})
}

func FuzzRequirement(f *testing.F) {
	for _, seed := range []string{`Foo[bar,Baz] (>=1.2,!=1.4.*) ; python_version < "3.13" and (extra == "x" or os_name!='nt')`,
		"a @ https://example.org/a.zip ; extra=='x'", "a===1", "a~=1.0,<2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := requirements.Parse(text)
		if err != nil {
			return
		}
		if again, err := requirements.Parse(r.String()); err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q, which reads as %q: %v", text, r, again, err)
		}
		if r.Marker.In(requirements.Linux("3.11", "x86_64")) && !r.Marker.In(nil) {
			t.Fatalf("%q holds where more is known only", text)
		}
		if v, ok := r.Versions.Newest([]string{"1.0", "1.2rc1", "2"}); ok && !r.Versions.Contains(v) {
			t.Fatalf("%q: %q is not contained", text, v)
		}
	})
}
