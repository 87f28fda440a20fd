package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// promise is what an index says of a path.
type promise struct {
	index, path string
	size        int64  // in bytes, -1 if the index does not say
	sha256      string // "" if the index does not say
}

// promises is how many promises are looked up at once. They are sorted before,
// so that each block of the manifest is read once for all of them: pages come
// by project, what they name lies all over the manifest.
const promises = 1 << 15

// names notes that an index promises path; the manifest has to keep that.
func (c *checker) names(index, path string, size int64, sha256 string) error {
	c.promised = append(c.promised, promise{index, path, size, sha256})
	if len(c.promised) < promises {
		return nil
	}
	return c.kept()
}

// kept checks the promises so far. Problems are reported in the order of the promises.
func (c *checker) kept() error {
	order := make([]int, len(c.promised))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(c.promised[a].path, c.promised[b].path), cmp.Compare(a, b))
	})
	broken := map[int]string{}
	for _, i := range order {
		said, err := c.breaks(c.promised[i])
		if err != nil {
			return err
		}
		if said != "" {
			broken[i] = said
		}
	}
	for _, i := range slices.Sorted(maps.Keys(broken)) {
		c.report.of(c.promised[i].index, "%s", broken[i])
	}
	c.promised = c.promised[:0]
	return nil
}

// breaks says how the manifest breaks a promise, "" if it keeps it.
func (c *checker) breaks(p promise) (string, error) {
	e, ok, err := c.m.Lookup(p.path)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return fmt.Sprintf("%s names %s, which the generation lacks", p.index, p.path), nil
	case p.size >= 0 && e.Size != p.size:
		return fmt.Sprintf("%s names %s with %d bytes, the generation has %d", p.index, p.path, p.size, e.Size), nil
	case p.sha256 != "" && e.Digest.String() != p.sha256:
		return fmt.Sprintf("%s names %s with SHA-256 %s, the generation has %s", p.index, p.path, p.sha256, e.Digest), nil
	}
	return "", nil
}
