package wheel

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mirrorcycle/internal/fault"
)

// Platform is what wheels run on: CPython on Linux.
type Platform struct {
	Python  string // "3.11"
	Machine string // "x86_64", as uname -m prints it
	Libc    string // "glibc" or "musl"
	Version string // the libc's: "2.36"
}

var (
	pythonForm  = regexp.MustCompile(`^3\.([1-9]?[0-9])$`)
	libcForm    = regexp.MustCompile(`^([12])\.([1-9]?[0-9])(\.[0-9]+)?$`)
	machineForm = regexp.MustCompile(`^[a-z0-9_]+$`)
)

// Check says what is wrong with the platform's values: fault.Config.
func (p Platform) Check() error {
	wrong := ""
	libc := libcForm.FindStringSubmatch(p.Version)
	switch {
	case !pythonForm.MatchString(p.Python):
		wrong = fmt.Sprintf("python %q, want as in 3.11", p.Python)
	case !machineForm.MatchString(p.Machine):
		wrong = fmt.Sprintf("machine %q, want as in x86_64", p.Machine)
	case p.Libc != "glibc" && p.Libc != "musl":
		wrong = fmt.Sprintf("libc %q, want glibc or musl", p.Libc)
	case libc == nil || (p.Libc == "glibc") != (libc[1] == "2"):
		wrong = fmt.Sprintf("version %q of %s, want as in 2.36 (glibc) or 1.2 (musl)", p.Version, p.Libc)
	default:
		return nil
	}
	return &fault.Error{Kind: fault.Config, Op: "wheel: check platform", Err: fmt.Errorf("%s", wrong)}
}

// manylinuxMachines are those for which PEP 600 tags exist in pip.
var manylinuxMachines = map[string]bool{"x86_64": true, "i686": true, "aarch64": true, "armv7l": true, "ppc64": true, "ppc64le": true,
	"s390x": true, "riscv64": true, "loongarch64": true}

// legacyNames are the names before PEP 600: PEP 513, 571 and 599.
var legacyNames = map[int]string{5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}

// Supported lists the tags of the wheels that the platform can use, best first,
// in the order of pip 24 (PEP 425, 600, 656); it is empty if Check fails. Newer
// pips try plain linux tags first instead of last: the set is the same.
func Supported(p Platform) []Tag {
	if p.Check() != nil {
		return nil
	}
	minor, _ := strconv.Atoi(p.Python[2:])
	platforms := p.platforms()
	var tags []Tag
	add := func(python, abi string) {
		for _, platform := range platforms {
			tags = append(tags, Tag{python, abi, platform})
		}
	}
	own := "cp3" + strconv.Itoa(minor)
	add(own, own)
	add(own, "abi3")
	add(own, "none")
	for m := minor - 1; m >= 2; m-- { // the limited API is of 3.2 (PEP 384)
		add("cp3"+strconv.Itoa(m), "abi3")
	}
	generic := []string{"py3" + strconv.Itoa(minor), "py3"}
	for m := minor - 1; m >= 0; m-- {
		generic = append(generic, "py3"+strconv.Itoa(m))
	}
	for _, python := range generic {
		add(python, "none")
	}
	for _, python := range append([]string{own}, generic...) {
		tags = append(tags, Tag{python, "none", "any"})
	}
	return tags
}

func (p Platform) platforms() []string {
	_, version, _ := strings.Cut(p.Version, ".")
	version, _, _ = strings.Cut(version, ".")
	minor, _ := strconv.Atoi(version)
	var out []string
	if p.Libc == "musl" {
		for m := minor; m >= 0; m-- {
			out = append(out, fmt.Sprintf("musllinux_1_%d_%s", m, p.Machine))
		}
		return append(out, "linux_"+p.Machine)
	}
	oldest := 17 // other machines came with manylinux2014
	if p.Machine == "x86_64" || p.Machine == "i686" {
		oldest = 5
	}
	for m := minor; m >= oldest && manylinuxMachines[p.Machine]; m-- {
		out = append(out, fmt.Sprintf("manylinux_2_%d_%s", m, p.Machine))
		if legacy := legacyNames[m]; legacy != "" {
			out = append(out, legacy+"_"+p.Machine)
		}
	}
	return append(out, "linux_"+p.Machine)
}

// Ranks holds a platform's tags for many look-ups.
type Ranks map[Tag]int

// RanksOf indexes Supported(p); 0 is the best.
func RanksOf(p Platform) Ranks {
	r := Ranks{}
	for i, t := range Supported(p) {
		r[t] = i
	}
	return r
}

// Best returns the best rank among the tags; ok is false if the platform can use none of them.
func (r Ranks) Best(tags []Tag) (rank int, ok bool) {
	for _, t := range tags {
		if i, there := r[t]; there && (!ok || i < rank) {
			rank, ok = i, true
		}
	}
	return rank, ok
}

// Compatible reports whether the platform can use a wheel of these tags. For
// many wheels keep the platform's Ranks.
func Compatible(tags []Tag, p Platform) bool {
	_, ok := RanksOf(p).Best(tags)
	return ok
}
