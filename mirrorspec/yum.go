package mirrorspec

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

func readYum(s *section, m *Mirror) {
	m.Proof = s.checked("proof", ByRepomd, oneOf(ByRepomd, ByPackages, ByBoth, ByNothing))
	readSigned(s, m)
	if m.Proof == ByNothing && s.has("keyring") {
		s.fault("keyring", `has no meaning with proof = "none"`, "remove one of the two")
	}
	m.Repos = s.list("repos", "9/BaseOS/$basearch/os", checkRelative)
	if !s.has("repos") {
		m.Repos = []string{"."}
	}
	m.Releases = s.list("releasever", "9", matches(wordPattern, "a release", "9"))
	m.Metalink = s.checked("metalink", "https://mirrors.example.org/metalink?repo=$releasever&arch=$basearch", checkListURL)
	m.MirrorList = s.checked("mirrorlist", "https://mirrors.example.org/mirrorlist", checkListURL)
	readFilter(s, m)
	readServers(s, m)
	readVariable(s, m, "releasever", "9", "$releasever", "${releasever}")
	readVariable(s, m, "architectures", "x86_64", "$basearch", "${basearch}", "$arch", "${arch}")
}

// readFilter reads what is mirrored of each repository. The metadata of less than
// all is written anew, so that upstream's signature cannot prove it.
func readFilter(s *section, m *Mirror) {
	m.Packages = s.list("packages", "nginx*", checkGlob)
	m.Exclude = s.list("exclude", "kernel-debug*", checkGlob)
	m.KeepLatest = s.count("keep-latest", 1, 0)
	m.LeaveSources = !s.boolean("sources", true)
	m.LeaveDebuginfo = !s.boolean("debuginfo", true)
	if m.Filtered() && (m.Proof == ByRepomd || m.Proof == ByBoth) {
		s.fault("proof", "asks for a signed repomd.xml, and of less than all packages the mirror writes one that upstream has not signed",
			`write proof = "packages", or remove the filter`)
	}
}

// Filtered reports whether a yum mirror has less than all packages of its repositories.
func (m Mirror) Filtered() bool {
	return m.Kind == Yum && (len(m.Packages)+len(m.Exclude)+m.KeepLatest > 0 || m.LeaveSources || m.LeaveDebuginfo)
}

func checkGlob(text string) (problem, advice string) {
	if _, err := path.Match(text, ""); err != nil || text == "" || strings.ContainsAny(text, "/ ") {
		return fmt.Sprintf("%q is not the name of a package or a glob", text), `write one like "nginx" or "python3-*"`
	}
	return "", ""
}

// readServers checks that one key says where the repositories are.
func readServers(s *section, m *Mirror) {
	var given []string
	for _, key := range []string{"upstream", "metalink", "mirrorlist"} {
		if s.has(key) {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		s.fault(given[1], "stands beside "+given[0], "write one of the two")
	}
	if (m.Metalink != "" || m.MirrorList != "") && len(m.Repos) > 1 && !strings.Contains(m.Metalink+m.MirrorList, "$") {
		s.fault("repos", "has several directories, and a list of servers is of one repository", "write a mirror for each")
	}
}

// readVariable checks that a variable of dnf that stands in a path has values, and only then.
func readVariable(s *section, m *Mirror, key, example string, names ...string) {
	used := false
	for _, text := range append([]string{m.Metalink, m.MirrorList}, m.Repos...) {
		used = used || slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) })
	}
	switch {
	case used && !s.has(key):
		s.fault(key, "is missing: "+names[0]+" stands for it", fmt.Sprintf("write %s = [%q]", key, example))
	case !used && s.has(key):
		s.fault(key, "says nothing: no path has "+names[0]+" in it", "write repos with "+names[0]+", or remove it")
	}
}

// checkListURL is checkURL, but metalinks and lists are asked for by a query. It
// stands in histories and on status pages, so it is no place for a token.
func checkListURL(text string) (problem, advice string) {
	before, _, _ := strings.Cut(text, "?")
	return checkURL(before)
}
