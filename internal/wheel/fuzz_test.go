package wheel_test

import (
	"bytes"
	"errors"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

func FuzzParseFilename(f *testing.F) {
	f.Add(demo)
	f.Add("a_b-1!2.0+x_1-1mc1-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := wheel.ParseFilename(name)
		if err != nil {
			return
		}
		again, err := wheel.ParseFilename(got.String())
		if err != nil || again.Name != got.Name || again.Version != got.Version || again.Build != got.Build || len(again.Tags) < 1 {
			t.Errorf("%q: %+v, then %+v, %v", name, got, again, err)
		}
	})
}

func FuzzInspect(f *testing.F) {
	f.Add(pack(record(good())))
	f.Add(pack(append(record(good()), member{"../evil", ""})))
	f.Add(linked())
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := inspect(data, demo)
		if (w == nil) == (err == nil) {
			t.Fatal(w, err)
		}
		if err != nil && fault.KindOf(err) == "" {
			t.Errorf("kind of %v", err)
		}
		if w != nil && (!wheel.SameName(w.Metadata.Name, "demo") || !wheel.SameVersion(w.Metadata.Release, "1")) {
			t.Errorf("%+v", w)
		}
	})
}

func FuzzAudit(f *testing.F) {
	f.Add([]byte(library(f, "near.so")))
	f.Add([]byte(library(f, "use.so")))
	f.Fuzz(func(t *testing.T, data []byte) {
		packed := pack(append(good(), member{"x.so", string(data)}))
		if r, err := wheel.Audit(bytes.NewReader(packed), int64(len(packed))); err != nil && !errors.Is(err, fault.Malformed) || len(r.Binaries) > 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func FuzzReadMetadata(f *testing.F) {
	f.Add(pack([]member{{"a-1.dist-info/METADATA", "Name: a\nVersion: 1\n"}}))
	f.Add(pack([]member{{"a-1.dist-info/METADATA", "Name: a\n"}, {"b-1.dist-info/METADATA", ""}}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		meta, err := wheel.ReadMetadata(bytes.NewReader(data), int64(len(data)), "a.whl")
		if err != nil && !errors.Is(err, fault.Malformed) {
			t.Errorf("kind of %v", err)
		}
		if len(meta) > 16<<20 {
			t.Errorf("%d bytes", len(meta))
		}
		if m, err := wheel.ParseMetadata(meta); err == nil && (m.Name == "" || m.Release == "") {
			t.Errorf("%+v", m)
		}
	})
}
