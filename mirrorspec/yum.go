package mirrorspec

import (
	"fmt"
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
	readServers(s, m)
	readVariable(s, m, "releasever", "9", "$releasever", "${releasever}")
	readVariable(s, m, "architectures", "x86_64", "$basearch", "${basearch}", "$arch", "${arch}")
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
