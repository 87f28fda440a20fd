package vos_test

import (
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/vos"
)

// fuzz feeds a parser with everything recorded and what grows out of it: it must
// answer, and call malformed what it does not take.
func fuzz[T any](f *testing.F, parse func([]byte) ([]T, error)) {
	for _, name := range cases(f) {
		for _, r := range transcript(f, name) {
			f.Add(r.stdout)
		}
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		if all, err := parse(out); err != nil && (fault.KindOf(err) != fault.Malformed || all != nil) {
			t.Errorf("%v, %v", all, err)
		}
	})
}

func FuzzVLDB(f *testing.F)     { fuzz(f, vos.ParseVLDB) }
func FuzzExamine(f *testing.F)  { fuzz(f, vos.ParseExamine) }
func FuzzStatus(f *testing.F)   { fuzz(f, vos.ParseStatus) }
func FuzzPartinfo(f *testing.F) { fuzz(f, vos.ParsePartinfo) }

func FuzzClassify(f *testing.F) {
	for _, name := range cases(f) {
		for _, r := range transcript(f, name) {
			f.Add(r.exit, r.stdout, r.stderr)
		}
	}
	f.Fuzz(func(t *testing.T, exit int, stdout, stderr []byte) {
		if err := vos.Classify(exit, stdout, stderr); (err == nil) != (exit == 0) || err != nil && fault.KindOf(err) == "" {
			t.Errorf("%v", err)
		}
	})
}
