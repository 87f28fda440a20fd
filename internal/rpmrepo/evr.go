package rpmrepo

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareEVR orders packages of one name by epoch, version and release, as rpm does.
func CompareEVR(a, b Package) int {
	epoch := func(p Package) int {
		n, _ := strconv.Atoi(p.Epoch) // none is 0
		return n
	}
	return cmp.Or(cmp.Compare(epoch(a), epoch(b)), CompareVersions(a.Version, b.Version), CompareVersions(a.Release, b.Release))
}

// CompareVersions orders two versions or releases as rpm does
// (rpm-version(7)): runs of digits as numbers, runs of letters as text, digits
// above letters, everything else only separates. A "~" sorts below the end, a
// "^" above it and below anything else.
func CompareVersions(a, b string) int {
	for {
		a, b = strings.TrimLeftFunc(a, separates), strings.TrimLeftFunc(b, separates)
		if x, y := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); x || y {
			if !x || !y {
				return order(y)
			}
			a, b = a[1:], b[1:]
			continue
		}
		if x, y := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); x || y {
			switch {
			case x && y:
				a, b = a[1:], b[1:]
				continue
			case x:
				return order(b == "")
			default:
				return order(a != "")
			}
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b)) // what goes on is newer
		}
		digits := isDigit(rune(a[0]))
		of := isDigit
		if !digits {
			of = isLetter
		}
		one, restA := run(a, of)
		two, restB := run(b, of)
		if two == "" { // of the other sort
			return order(digits)
		}
		if digits {
			one, two = strings.TrimLeft(one, "0"), strings.TrimLeft(two, "0")
			if c := cmp.Compare(len(one), len(two)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(one, two); c != 0 {
			return c
		}
		a, b = restA, restB
	}
}

// order is 1 if the first is newer, else -1.
func order(newer bool) int {
	if newer {
		return 1
	}
	return -1
}

func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func separates(r rune) bool { return !isDigit(r) && !isLetter(r) && r != '~' && r != '^' }

// run cuts off what s begins with.
func run(s string, of func(rune) bool) (head, rest string) {
	rest = strings.TrimLeftFunc(s, of)
	return s[:len(s)-len(rest)], rest
}
