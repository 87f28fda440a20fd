package mirrorspec

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// The longest names: a DNS label (names become parts of task queues, workflow
// IDs and host names), and an AFS volume without ".readonly".
const (
	maxName   = 63
	maxVolume = 22
)

var (
	namePattern      = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	wordPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)
	refPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/+-]*$`)
	githubPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)
	pythonPattern    = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
	partitionPattern = regexp.MustCompile(`^([a-z]|[a-h][a-z]|i[a-v])$`)
	// constraintPattern is a requirement (PEP 508) without extras and URL; whoever reads it judges its versions.
	constraintPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]* *(===|==|~=|!=|<=?|>=?)[A-Za-z0-9.*+!_ ,<>=~-]+(;[A-Za-z0-9._ '"<>=!()-]+)?$`)
	hostPattern       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	prefixPattern     = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)
	principalPattern  = regexp.MustCompile(`^[^\s@/-][^\s@]*(@[^\s@]+)?$`)
	separators        = regexp.MustCompile(`[-_.]+`)

	// PEP 508 names, and globs over them with * and ?.
	projectPattern = regexp.MustCompile(`^[A-Za-z0-9*?]([A-Za-z0-9._*?-]*[A-Za-z0-9*?])?$`)
)

// A rule says what is wrong with a string and what to write; "" if it is right.
type rule = func(string) (problem, advice string)

// checkName is the rule for what becomes a directory, an AFS volume, a task queue
// and a workflow ID at once.
func checkName(s string) (problem, advice string) {
	switch {
	case !namePattern.MatchString(s):
		return fmt.Sprintf("%q is not a name", s),
			"write lower-case letters, digits, '.' and '-', beginning with a letter or digit"
	case len(s) > maxName:
		return fmt.Sprintf("%q is longer than %d characters", s, maxName), "write a shorter name"
	case strings.HasSuffix(s, ".readonly"), strings.HasSuffix(s, ".backup"):
		return fmt.Sprintf("%q ends like an AFS snapshot", s), "write a name without .readonly or .backup"
	}
	return "", ""
}

// matches is the rule of a pattern.
func matches(pattern *regexp.Regexp, what, example string) rule {
	return func(s string) (problem, advice string) {
		if !pattern.MatchString(s) || strings.Contains(s, "..") {
			return fmt.Sprintf("%q is not %s", s, what), fmt.Sprintf("write one like %q", example)
		}
		return "", ""
	}
}

// checkURL is the rule for absolute http and https URLs without secrets.
func checkURL(s string) (problem, advice string) {
	const example = `write one like "https://mirror.example.org/path"`
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The error would repeat the URL and any password in it.
		return "is not a URL", example
	case u.User != nil:
		return "holds credentials, and no secret stands in a spec",
			"put them into a netrc file and write netrc = its path"
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		if strings.Contains(s, "@") { // such as user:password@host
			return "is not an absolute http or https URL", example
		}
		return fmt.Sprintf("%q is not an absolute http or https URL", s), example
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return "has a query or fragment, which may hold a secret", "write the URL without it"
	case strings.ContainsAny(s, " \\") || strings.Contains(u.Path+"/", "/../") || hasControl(u.Path):
		return fmt.Sprintf("%q has a path that servers may read in different ways", s), example
	}
	return "", ""
}

// checkOrigin is the rule for the URL that regions pull from: the digests of
// what they pull come the same way, so only TLS proves them. A network of one's
// own, by address or by a name that only a resolver of it knows, may do without.
func checkOrigin(s string) (problem, advice string) {
	if problem, advice = checkURL(s); problem != "" {
		return problem, advice
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "https" {
		return "", ""
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	if err == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()) || err != nil && !strings.Contains(host, ".") {
		return "", ""
	}
	return fmt.Sprintf("%q is not https, and what regions pull proves itself by nothing else", s),
		"write https://, or http:// for a loopback or private address or a name without dots"
}

// checkDir is the rule for directories and files on this or a worker's machine.
func checkDir(s string) (problem, advice string) {
	switch {
	case !path.IsAbs(s):
		return fmt.Sprintf("%q is not absolute", s), `write a path that begins with "/"`
	case s == "/":
		return "is the root of the file system", "write a directory of its own"
	case path.Clean(s) != s || hasControl(s):
		return fmt.Sprintf("%q is not a clean path", s), fmt.Sprintf("write %q", path.Clean(s))
	}
	return "", ""
}

// checkRelative is the rule for paths below something; a trailing slash may stand
// where the format gives it a meaning.
func checkRelative(s string) (problem, advice string) {
	clean := path.Clean(s)
	trimmed := strings.TrimSuffix(s, "/")
	if s == "" || s == "/" || path.IsAbs(s) || clean != trimmed || clean == ".." ||
		strings.HasPrefix(clean, "../") || hasControl(s) || strings.ContainsAny(s, " \\%") {
		return fmt.Sprintf("%q is not a plain relative path", s), `write one like "noble" or "dists/main", without ".." and spaces`
	}
	if first, _, _ := strings.Cut(clean, "/"); first == ".mirror" {
		return `".mirror" belongs to MirrorCycle`, "write another path"
	}
	return "", ""
}

// checkProject is the rule for project names and globs (PEP 508).
func checkProject(s string) (problem, advice string) {
	if !projectPattern.MatchString(s) {
		return fmt.Sprintf("%q is not a project name or glob", s),
			`write one like "nova" or "oslo-*"; versions belong in a requirements file`
	}
	return "", ""
}

// normalizeProject is PEP 503's normalisation; globs stay globs.
func normalizeProject(s string) string {
	return strings.ToLower(separators.ReplaceAllString(s, "-"))
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
