package tree_test

import (
	"errors"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// TestRollbackWantsTheVeryBytes: an object that upstream replaced under its
// name is not there any more, also if the new one is as long.
func TestRollbackWantsTheVeryBytes(t *testing.T) {
	first := content{"pool/a.deb": "old", "pool/b.deb": "b", "dists/Release": "1"}
	for name, tc := range map[string]struct {
		life []content
		kind error
	}{
		"replaced":                  {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}}, fault.Gone},
		"replaced and then dropped": {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}, {"dists/Release": "3"}}, fault.Gone},
		"dropped":                   {[]content{first, {"pool/b.deb": "b", "dists/Release": "2"}, {"dists/Release": "3"}}, nil},
		"replaced twice":            {[]content{first, {"pool/a.deb": "new", "dists/Release": "2"}, {"pool/a.deb": "old", "dists/Release": "3"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr := open(t, setup(t))
			for _, c := range tc.life {
				if err := errors.Join(replace(tr, c), commit(tr, c)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tr.Rollback(t.Context(), 1, 0); !errors.Is(err, tc.kind) {
				t.Errorf("got %v, want %v", err, tc.kind)
			}
		})
	}
}

// replace lands every object of c over what is there.
func replace(tr *tree.Tree, c content) error {
	for p, data := range c {
		if kindOf(p).IsIndex() {
			continue
		}
		f, err := tr.Create()
		if err == nil {
			_, err = f.WriteString(data)
		}
		if err == nil {
			err = f.Land(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
