package simpleindex

import (
	"regexp"
	"slices"
	"strings"
)

// FileVersion returns the version that a file name of a project carries: the
// second part of a wheel's name, what follows the project in the name of a
// source distribution or an egg. ok is false for any other name.
func FileVersion(project, filename string) (version string, ok bool) {
	stem, kind := "", ""
	for _, suffix := range []string{".whl", ".egg", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar"} {
		if s, found := strings.CutSuffix(filename, suffix); found {
			stem, kind = s, suffix
			break
		}
	}
	project = Normalize(project)
	for i := 0; i < len(stem); i++ {
		if stem[i] != '-' || Normalize(stem[:i]) != project {
			continue
		}
		rest := stem[i+1:]
		if kind == ".whl" || kind == ".egg" {
			rest, _, _ = strings.Cut(rest, "-")
		}
		return rest, rest != ""
	}
	return "", false
}

// versionForm is the regular expression of PEP 440, appendix B.
var versionForm = regexp.MustCompile(`^\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

// CompareVersions orders versions as PEP 440 does: negative if a is older than
// b. What is no version is older than every version, ordered as text.
func CompareVersions(a, b string) int {
	x, y := parseVersion(a), parseVersion(b)
	switch {
	case x == nil && y == nil:
		return strings.Compare(a, b)
	case x == nil:
		return -1
	case y == nil:
		return 1
	}
	return x.Compare(*y)
}

// IsPrerelease reports whether a version is a pre-release or a development release.
func IsPrerelease(v string) bool {
	x := parseVersion(v)
	return x != nil && x.IsPrerelease()
}

// Version is a version of PEP 440.
type Version struct {
	epoch, release   string
	pre, preN        string
	hasPost, hasDev  bool
	postN, devN, loc string
}

// ParseVersion reads a version, normalised or not; ok is false for what is none.
func ParseVersion(v string) (_ Version, ok bool) {
	x := parseVersion(v)
	if x == nil {
		return Version{}, false
	}
	return *x, true
}

// Compare orders versions as PEP 440 does: negative if x is older than y.
func (x Version) Compare(y Version) int { return slices.Compare(x.key(), y.key()) }

// Key is equal for equal versions, however they are written.
func (x Version) Key() string { return strings.Join(x.key(), " ") }

// Public returns the version without its local label.
func (x Version) Public() Version { x.loc = ""; return x }

// Earliest returns its first development release, which nothing that leads up
// to the version precedes.
func (x Version) Earliest() Version { x.hasDev, x.devN, x.loc = true, "", ""; return x }

// Unposted returns the version that a post-release corrects; of any other, its public part.
func (x Version) Unposted() Version {
	if x.hasPost {
		x.hasPost, x.postN, x.hasDev, x.devN = false, "", false, ""
	}
	return x.Public()
}

// IsPrerelease reports whether it is a pre-release or a development release.
func (x Version) IsPrerelease() bool { return x.pre != "" || x.hasDev }

// IsPostrelease reports whether it is a post-release.
func (x Version) IsPostrelease() bool { return x.hasPost }

// HasLocal reports whether it has a local label.
func (x Version) HasLocal() bool { return x.loc != "" }

// Series returns the release without its last number, what ~= keeps; ok is
// false for a release of one number.
func (x Version) Series() (_ Version, ok bool) {
	i := strings.LastIndexByte(x.release, '.')
	if i < 0 {
		return Version{}, false
	}
	return Version{epoch: x.epoch, release: x.release[:i]}, true
}

// Within reports whether epoch and release of x begin with those of series, as
// "1.2.*" asks of "1.2.3" and of "1.2rc1"; what x lacks counts as zeros.
func (x Version) Within(series Version) bool {
	if number(x.epoch) != number(series.epoch) {
		return false
	}
	has := strings.Split(x.release, ".")
	for i, n := range strings.Split(series.release, ".") {
		if i < len(has) && number(has[i]) != number(n) || i >= len(has) && number(n) != number("") {
			return false
		}
	}
	return true
}

func parseVersion(v string) *Version {
	m := versionForm.FindStringSubmatch(strings.ToLower(v))
	if m == nil {
		return nil
	}
	x := &Version{epoch: m[1], release: m[2], pre: m[3], preN: m[4], hasPost: m[5] != "" || m[6] != "", postN: m[5] + m[7],
		hasDev: m[8] != "", devN: m[9], loc: m[10]}
	switch x.pre {
	case "alpha":
		x.pre = "a"
	case "beta":
		x.pre = "b"
	case "c", "pre", "preview":
		x.pre = "rc"
	}
	return x
}

// key turns a version into words that compare in order. A word begins with a
// byte that ranks absent parts: "0" before, "1" present, "2" after.
func (x Version) key() []string {
	key := []string{number(x.epoch)}
	release := strings.Split(x.release, ".")
	for len(release) > 1 && strings.Trim(release[len(release)-1], "0") == "" {
		release = release[:len(release)-1]
	}
	for _, n := range release {
		key = append(key, "1"+number(n))
	}
	key = append(key, "0") // shorter releases come first
	pre := "2"
	if x.pre != "" {
		pre = "1" + x.pre + number(x.preN)
	} else if x.hasDev && !x.hasPost {
		pre = "0"
	}
	post, dev := "0", "2"
	if x.hasPost {
		post = "1" + number(x.postN)
	}
	if x.hasDev {
		dev = "1" + number(x.devN)
	}
	key = append(key, pre, post, dev)
	for part := range strings.FieldsFuncSeq(x.loc, func(c rune) bool { return c == '-' || c == '_' || c == '.' }) {
		if strings.Trim(part, "0123456789") == "" {
			key = append(key, "2"+number(part))
		} else {
			key = append(key, "1"+part)
		}
	}
	return key
}

// number makes digits comparable as text whatever their count: the length comes
// first. Dates used as versions do not fit 64 bits once they carry fractions.
func number(digits string) string {
	digits = strings.TrimLeft(digits, "0")
	return string(rune(len(digits))) + digits
}

// ValidVersion reports whether v is a version of PEP 440, normalised or not.
func ValidVersion(v string) bool { return parseVersion(v) != nil }
