package wheel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tag says what a wheel is for (PEP 425), in lower case.
type Tag struct {
	Python   string // cp311, py3
	ABI      string // cp311, abi3, none
	Platform string // manylinux_2_17_x86_64, any
}

// String renders python-abi-platform.
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

// Universal reports whether the tag asks for no particular platform or ABI.
func (t Tag) Universal() bool { return t.ABI == "none" && t.Platform == "any" }

// ParseTags reads one python-abi-platform, in which dots separate alternatives.
func ParseTags(s string) ([]Tag, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return nil, fmt.Errorf("tag %.100q has not three parts", s)
	}
	return expand(parts[0], parts[1], parts[2])
}

// expand multiplies the alternatives of the three parts.
func expand(python, abi, platform string) ([]Tag, error) {
	p, a, f := strings.Split(python, "."), strings.Split(abi, "."), strings.Split(platform, ".")
	if len(p)*len(a)*len(f) > maxTags {
		return nil, fmt.Errorf("more than %d tags", maxTags)
	}
	for _, part := range slices.Concat(p, a, f) {
		if !word(part) {
			return nil, fmt.Errorf("tag part %.100q", part)
		}
	}
	tags := make([]Tag, 0, len(p)*len(a)*len(f))
	for _, python := range p {
		for _, abi := range a {
			for _, platform := range f {
				tags = append(tags, Tag{strings.ToLower(python), strings.ToLower(abi), strings.ToLower(platform)})
			}
		}
	}
	return tags, nil
}

// compress joins each part's alternatives with dots.
func compress(tags []Tag) string {
	var parts [3][]string
	for _, t := range tags {
		for i, v := range []string{t.Python, t.ABI, t.Platform} {
			if !slices.Contains(parts[i], v) {
				parts[i] = append(parts[i], v)
			}
		}
	}
	return strings.Join(parts[0], ".") + "-" + strings.Join(parts[1], ".") + "-" + strings.Join(parts[2], ".")
}

// sameTags compares two sets.
func sameTags(a, b []Tag) error {
	have := map[Tag]bool{}
	for _, t := range a {
		have[t] = true
	}
	want := map[Tag]bool{}
	for _, t := range b {
		want[t] = true
		if !have[t] {
			return fmt.Errorf("%s is missing", t)
		}
	}
	for _, t := range a {
		if !want[t] {
			return fmt.Errorf("%s is too much", t)
		}
	}
	if len(a) == 0 {
		return errors.New("no tag")
	}
	return nil
}
