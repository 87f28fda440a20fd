package mirrorspec

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

var defaultGuard = Guard{Share: 20 * 100, Count: 100}

// reservedNames are what a region's web server has beside its mirrors.
var reservedNames = []string{"config", "health", "healthz", "index.html", "status.json"}

// row is what a spec may say of one kind of mirror.
type row struct {
	kind  Kind
	grace Duration                // the default
	read  func(*section, *Mirror) // the keys of the kind
	built bool                    // here, so that there is no upstream to read from
}

// rows has the kinds that a spec may name, in the order in which errors name them.
var rows = []row{
	{kind: Apt, grace: Duration(72 * time.Hour), read: readApt},
	{kind: Yum, grace: Duration(96 * time.Hour), read: readYum},
	{kind: PyPI, grace: Duration(24 * time.Hour), read: readPyPI},
	{kind: Wheels, grace: Duration(24 * time.Hour), read: readWheels, built: true},
}

// row returns the row of a kind, the zero one for a kind that there is not.
func (k Kind) row() row {
	for _, r := range rows {
		if r.kind == k {
			return r
		}
	}
	return row{}
}

func (k Kind) known() bool { return k.row().read != nil }

func kinds() (all []Kind) {
	for _, r := range rows {
		all = append(all, r.kind)
	}
	return all
}

func readMirror(s *section) Mirror {
	m := Mirror{
		Name:    s.name("ubuntu"),
		Kind:    Kind(s.checked("kind", string(Apt), oneOf(words(kinds())...))),
		Regions: s.list("regions", "dfw", nil),
		Volumes: s.list("volumes", "pool", checkRelative),
	}
	for i, dir := range m.Volumes {
		m.Volumes[i] = path.Clean(dir)
	}
	s.require("kind", `kind = "apt", "yum", "pypi" or "wheels"`)
	if slices.Contains(reservedNames, m.Name) {
		s.fault("name", fmt.Sprintf("%q is a path of every region's status page", m.Name), "write another name")
	}
	m.Grace = s.duration("grace", m.Kind.row().grace)
	m.Guard = readGuard(s.sub("guard", `guard = { share = "20%", count = 100 }`))
	if m.Kind.known() {
		readKind(s, &m)
	} else { // reported already; keys of a kind cannot be judged
		for _, k := range kinds() {
			s.known = append(s.known, keysOf(k)...)
		}
	}
	s.done(func(key string) (problem, advice string) {
		var others []Kind
		for _, k := range kinds() {
			if slices.Contains(keysOf(k), key) {
				others = append(others, k)
			}
		}
		if len(others) == 0 {
			return "", ""
		}
		return fmt.Sprintf("has no meaning for kind %q, only for %s", m.Kind, strings.Join(words(others), ", ")), "remove it"
	})
	return m
}

// readKind reads the keys that not all kinds have.
func readKind(s *section, m *Mirror) {
	r := m.Kind.row()
	if !r.built {
		readUpstream(s, m)
	}
	r.read(s, m)
}

// keysOf returns the keys that readKind asks for.
func keysOf(k Kind) []string {
	nobody := &reader{places: map[string]place{}, broken: map[string]bool{}}
	s := nobody.section("", newTable(place{1, 1}))
	readKind(s, &Mirror{Kind: k})
	return s.known
}

func words(kinds []Kind) []string {
	all := make([]string, len(kinds))
	for i, k := range kinds {
		all[i] = string(k)
	}
	return all
}

func readGuard(s *section) Guard {
	defer s.done(nil)
	return Guard{
		Share: s.share("share", defaultGuard.Share),
		Count: s.count("count", 0, defaultGuard.Count),
	}
}

// readUpstream reads what every kind that downloads from an upstream has.
func readUpstream(s *section, m *Mirror) {
	listed := m.Kind == PyPI && s.has("index") || m.Kind == Yum && (s.has("metalink") || s.has("mirrorlist"))
	if !listed {
		s.require("upstream", `upstream = ["https://upstream.example.org/path"]`)
	}
	m.Upstream = s.urls("upstream", "https://upstream.example.org/path")
	m.Netrc = s.checked("netrc", "/etc/mirror/netrc", checkDir)
	m.ClientCert = s.checked("client-cert", "/etc/mirror/client.pem", checkDir)
	m.ClientKey = s.checked("client-key", "/etc/mirror/client.key", checkDir)
	m.CAFile = s.checked("ca-file", "/etc/mirror/ca.pem", checkDir)
	if s.has("client-cert") != s.has("client-key") {
		s.require("client-cert", `client-cert = "/etc/mirror/client.pem" beside client-key`)
		s.require("client-key", `client-key = "/etc/mirror/client.key" beside client-cert`)
	}
}

// readSigned reads what the two signed formats have in common.
func readSigned(s *section, m *Mirror) {
	if m.Proof != ByNothing {
		s.require("keyring", `keyring = "/usr/share/keyrings/example.gpg"`)
	}
	m.Keyring = s.checked("keyring", "/usr/share/keyrings/example.gpg", checkDir)
	m.OnConflict = s.checked("on-conflict", Refuse, oneOf(Refuse, Replace))
	if m.OnConflict == "" {
		m.OnConflict = Refuse
	}
	if m.Missing = s.checked("missing", Refuse, oneOf(Refuse, Tolerate)); m.Missing == "" {
		m.Missing = Refuse
	}
	m.Architectures = s.list("architectures", "amd64", matches(wordPattern, "an architecture", "amd64"))
}

func readApt(s *section, m *Mirror) {
	readSigned(s, m)
	readSuites(s, m)
	s.require("architectures", `architectures = ["amd64"]`)
	m.Translations = s.listOrNone("translations", "en", matches(wordPattern, "a language", "en"))
	if !s.has("translations") {
		m.Translations = []string{AllLanguages}
	}
	m.Indexes = s.list("indexes", AllIndexes, oneOf(AptIndexes...))
	if !s.has("indexes") {
		m.Indexes = []string{AllIndexes}
	}
	// "source" is how Release files and other tools spell it.
	binary := slices.DeleteFunc(slices.Clone(m.Architectures), func(a string) bool { return a == "source" })
	if s.boolean("sources", false) || len(binary) < len(m.Architectures) {
		m.Architectures = binary
		if !slices.Contains(m.Indexes, Sources) {
			m.Indexes = append(m.Indexes, Sources)
		}
	}
	m.IgnoreValidUntil = !s.boolean("check-valid-until", true)
	m.ByHash = s.boolean("by-hash", true)
}

func readPyPI(s *section, m *Mirror) {
	m.Projects = s.projects("projects", "nova")
	m.Exclude = s.projects("exclude", "nova-*")
	m.Requirements = s.list("requirements", "/etc/mirror/requirements.txt", nil)
	m.KeepLatest = s.count("keep-latest", 1, 0)
	m.LeavePreReleases = !s.boolean("keep-pre-releases", true)
	m.LeaveLocalVersions = !s.boolean("keep-local-versions", true)
	for _, key := range []string{"keep-pre-releases", "keep-local-versions"} {
		if s.has(key) && !s.has("keep-latest") {
			s.fault(key, "says nothing without keep-latest", "write keep-latest = 5, or remove it")
		}
	}
	m.IndexURLs = s.urlOrURLs("index", "https://index.example.org/simple")
	if !s.has("projects") && !s.has("requirements") {
		s.require("projects", `projects = ["nova", "oslo-*"], or ["*"] for all, or requirements`)
	}
}

// projects reads names and globs and normalises them (PEP 503).
func (s *section) projects(key, example string) []string {
	all := s.list(key, example, checkProject)
	seen := map[string]string{}
	for i, name := range all {
		all[i] = normalizeProject(name)
		if first, ok := seen[all[i]]; ok && first != name {
			s.r.fault(fmt.Sprintf("%s[%d]", s.at(key), i), fmt.Sprintf("%q is the same project as %q", name, first), "remove one of the two")
		}
		seen[all[i]] = name
	}
	return all
}

func readWheels(s *section, m *Mirror) {
	s.require("index", `index = "pypi", the name of a pypi mirror`)
	s.require("platforms", `platforms = [{ name = "debian-12-x86_64", root = "/srv/roots/debian-12", python = "3.11" }]`)
	m.Index = s.str("index", "pypi")
	m.GitHub = s.checked("github", "openstack/requirements", matches(githubPattern, "a GitHub repository", "openstack/requirements"))
	m.File = s.checked("file", "/etc/mirror/requirements.txt", checkDir)
	m.URL = s.checked("url", "https://example.org/requirements.txt", checkURL)
	readSource(s, m)
	platforms := s.subs("platforms", `platforms = [{ name = …, root = …, python = … }]`, maxTables)
	if v, ok := s.get("platforms", isArray, "a list"); ok && len(v.items) == 0 {
		s.fault("platforms", "is empty", `write platforms = [{ name = …, root = …, python = … }]`)
	}
	readBuilds(s, m)
	root := checkDir
	if m.Sandbox == NoSandbox {
		root = checkRoot
	}
	for _, p := range platforms {
		m.Platforms = append(m.Platforms, readPlatform(p, root))
	}
}

// checkRoot is checkDir, but without a sandbox the worker's own root will do:
// only so can a worker that may not chroot build.
func checkRoot(s string) (problem, advice string) {
	if s == "/" {
		return "", ""
	}
	return checkDir(s)
}

const (
	defaultBuildTimeout = Duration(time.Hour)
	defaultBuildMemory  = Size(4e9)
	defaultBuilds       = 4
)

// readBuilds reads what one build may take, and how many there are at once.
func readBuilds(s *section, m *Mirror) {
	if m.Sandbox = s.checked("sandbox", Bubblewrap, oneOf(Bubblewrap, NoSandbox)); m.Sandbox == "" {
		m.Sandbox = Bubblewrap
	}
	m.BuildTimeout = s.duration("build-timeout", defaultBuildTimeout)
	s.positive("build-timeout", m.BuildTimeout)
	if m.BuildMemory = s.size("build-memory", defaultBuildMemory); m.BuildMemory < leastBuildMemory {
		s.fault("build-memory", fmt.Sprintf("%v is too little for any build", m.BuildMemory), fmt.Sprintf("write at least %q", leastBuildMemory))
	}
	m.Builds = s.count("builds", 1, defaultBuilds)
	m.BuildProcesses = s.count("build-processes", leastBuildProcesses, 0)
	m.BuildDisk, m.BuildLog = readRoom(s, "build-disk"), readRoom(s, "build-log")
	m.BuildConstraints = s.list("build-constraints", "setuptools<81", matches(constraintPattern, "a project and its versions", "setuptools<81"))
}

func readRoom(s *section, key string) Size {
	room := s.size(key, 0)
	if s.has(key) && room < leastBuildRoom {
		s.fault(key, fmt.Sprintf("%v is too little for any build", room), fmt.Sprintf("write at least %q, or leave it out", leastBuildRoom))
	}
	return room
}

// What a build needs at least, whatever it builds.
const (
	leastBuildProcesses = 16
	leastBuildRoom      = Size(1e6)
)

const leastBuildMemory = Size(64e6)

// readSource reads where the requirements of a wheels mirror come from: exactly
// one of a repository, a file and a URL.
func readSource(s *section, m *Mirror) {
	var given []string
	for _, key := range []string{"github", "file", "url"} {
		if s.has(key) {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		s.fault("github", "is missing", `write github = "openstack/requirements", or file, or url`)
	case len(given) > 1:
		s.fault(given[1], "stands beside "+given[0], "write one of the two")
	}
	m.Refs = s.list("refs", "master", matches(refPattern, "a branch or tag", "stable/2026.1"))
	if m.GitHub == "" {
		for _, key := range []string{"refs", "requirements"} {
			if s.has(key) && len(given) > 0 && given[0] != "github" {
				s.fault(key, "has no meaning without github", "remove it")
			}
		}
		s.known = append(s.known, "requirements")
		m.Constraints = s.checked("constraints", "/etc/mirror/constraints.txt", checkDirOrURL)
		return
	}
	s.require("refs", `refs = ["master"]`)
	s.require("requirements", `requirements = "global-requirements.txt"`)
	if file := s.checked("requirements", "global-requirements.txt", checkRelative); file != "" {
		m.Requirements = []string{file}
	}
	m.Constraints = s.checked("constraints", "upper-constraints.txt", checkRelative)
}

func checkDirOrURL(s string) (problem, advice string) {
	if strings.HasPrefix(s, "/") {
		return checkDir(s)
	}
	return checkURL(s)
}

func readPlatform(s *section, root func(string) (problem, advice string)) Platform {
	p := Platform{
		Name:   s.checked("name", "debian-12-x86-64", checkPlatform),
		Root:   s.checked("root", "/srv/roots/debian-12", root),
		Python: s.checked("python", "3.11", matches(pythonPattern, "a Python version", "3.11")),
	}
	s.require("name", `name = "debian-12-x86_64"`)
	s.require("root", `root = "/srv/roots/debian-12"`)
	s.require("python", `python = "3.11"`)
	s.done(nil)
	return p
}

// checkPlatform is checkName, but machine names such as x86_64 hold underscores.
func checkPlatform(s string) (problem, advice string) {
	if problem, _ := checkName(strings.ReplaceAll(s, "_", "-")); problem != "" {
		return fmt.Sprintf("%q is not a platform name", s), `write lower-case letters, digits, '.', '-' and '_', such as "debian-12-x86_64"`
	}
	return "", ""
}
