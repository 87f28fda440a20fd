package mirrorspec

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

const (
	day = Duration(24 * time.Hour)

	defaultEvery       = Duration(2 * time.Hour)
	defaultCatchUp     = day
	leastCatchUp       = Duration(10 * time.Second) // Temporal's own minimum
	defaultMirrorWait  = Duration(6 * time.Hour)
	defaultReleaseWait = Duration(30 * time.Minute)
	defaultWheelWindow = Duration(30 * time.Minute)

	defaultMinFree      = Size(1e9)
	defaultRollbackKeep = 7 * day

	defaultDownloads = 16
	defaultPerHost   = 8

	defaultKeep        = 3 * day
	defaultIndexMaxAge = Duration(10 * time.Minute)
	defaultStaleAfter  = day
	maxStaleAfter      = 14 * day

	defaultLag = day

	defaultVolumePrefix = "mirror."
	defaultPurgeWithin  = 7 * day
	defaultQuota        = Size(100e9)
	maxQuota            = Size(2 << 40)
)

// Load reads and parses a spec file. A file that cannot be read gives a
// *fault.Error, a spec with mistakes Faults; both are of kind fault.Config.
func Load(path string) (*Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "mirrorspec: read", Subject: path, Err: err,
			Advice: "name a spec file, or make one with starter init"}
	}
	spec, faults := Parse(path, data)
	if len(faults) > 0 {
		return nil, faults
	}
	return spec, nil
}

// maxSpec bounds a spec in bytes, which is the input of workflows: Temporal
// takes 2 MB. maxTables and maxRegions bound what is compared with one another.
const maxSpec, maxTables, maxRegions = 1 << 20, 2000, 300

// Parse reads a spec, applies the defaults and checks everything that can be
// checked without looking at a machine. It returns either a spec or all faults;
// file only names the spec in them.
func Parse(file string, data []byte) (*Spec, Faults) {
	if len(data) > maxSpec {
		return nil, Faults{{File: file, Line: 1, Column: 1, Problem: fmt.Sprintf("%d bytes are more than %d", len(data), maxSpec), Advice: "make several specs of it"}}
	}
	root, faults := parseDocument(file, data)
	if root == nil {
		return nil, faults
	}
	r := &reader{file: file, faults: faults, places: map[string]place{}, broken: map[string]bool{}}
	spec := r.spec(root)
	r.check(spec)
	if len(r.faults) == 0 {
		r.faults = decodeFaults(file, data)
	}
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return spec, nil
}

func (r *reader) spec(root *table) *Spec {
	s := r.section("", root)
	s.require("cycle", "a [cycle] table with its name")
	s.require("storage", "a [storage] table with name and root")
	s.require("mirror", "at least one [[mirror]] table")
	spec := &Spec{
		Cycle:   readCycle(s.sub("cycle", "[cycle]")),
		Storage: readStorage(s.sub("storage", "[storage]")),
		Limits:  readLimits(s.sub("limits", "[limits]")),
	}
	for _, region := range s.subs("region", "[[region]]", maxRegions) {
		spec.Regions = append(spec.Regions, readRegion(region))
	}
	for _, mirror := range s.subs("mirror", "[[mirror]]", maxTables) {
		spec.Mirrors = append(spec.Mirrors, readMirror(mirror))
	}
	if afs := s.sub("afs", "[afs]"); afs.table != nil {
		spec.AFS = readAFS(afs)
	}
	if notify := s.sub("notify", "[notify]"); notify.table != nil {
		spec.Notify = readNotify(notify)
	}
	s.done(nil)
	return spec
}

// checked reads an optional string and applies a rule to it.
func (s *section) checked(key, example string, check rule) string {
	text := s.str(key, example)
	if text != "" {
		if problem, advice := check(text); problem != "" {
			s.fault(key, problem, advice)
		}
	}
	return text
}

// name reads the required name of a thing.
func (s *section) name(example string) string {
	s.require("name", fmt.Sprintf("name = %q", example))
	return s.checked("name", example, checkName)
}

// url reads a URL; a trailing slash is dropped so that paths can be joined to it.
func (s *section) url(key, example string) string {
	return strings.TrimRight(s.checked(key, example, checkURL), "/")
}

// urls reads a list of URLs in the same way.
func (s *section) urls(key, example string) []string {
	all := s.list(key, example, checkURL)
	for i := range all {
		all[i] = strings.TrimRight(all[i], "/")
	}
	return all
}

// urlOrURLs is urls for a key that is mostly one.
func (s *section) urlOrURLs(key, example string) []string {
	if s.has(key) && s.table.entries[key].value.kind == isString {
		return []string{strings.TrimRight(s.checked(key, example, checkURL), "/")}
	}
	return s.urls(key, example)
}

func readCycle(s *section) Cycle {
	c := Cycle{
		Name:        s.optionalName(s.table != nil, "openstack"),
		Cron:        s.checked("cron", "0 */2 * * *", checkCron),
		Jitter:      s.duration("jitter", 0),
		TimeZone:    s.checked("time-zone", "Europe/Berlin", checkTimeZone),
		CatchUp:     s.duration("catch-up", defaultCatchUp),
		MirrorWait:  s.duration("mirror-wait", defaultMirrorWait),
		ReleaseWait: s.duration("release-wait", defaultReleaseWait),
		WheelWindow: s.duration("wheel-window", defaultWheelWindow),
	}
	every := defaultEvery
	if s.has("cron") {
		every = 0
	}
	c.Every = s.duration("every", every)
	switch {
	case s.has("cron") && s.has("every"):
		s.fault("cron", "stands beside every", "write one of the two")
	case s.has("every") && c.Every < Duration(time.Second):
		s.fault("every", fmt.Sprintf("%v is shorter than a second", c.Every), `write a duration such as "2h"`)
	case c.Every > 0 && c.Jitter >= c.Every:
		s.fault("jitter", fmt.Sprintf("%v is not below every (%v)", c.Jitter, c.Every), "write a shorter one")
	}
	if s.has("time-zone") && !s.has("cron") {
		s.fault("time-zone", "has no meaning without cron", "remove it or write cron")
	}
	if c.CatchUp < leastCatchUp {
		s.fault("catch-up", fmt.Sprintf("%v is below the server's minimum", c.CatchUp), fmt.Sprintf("write at least %q", leastCatchUp))
	}
	s.positive("mirror-wait", c.MirrorWait)
	s.positive("release-wait", c.ReleaseWait)
	s.done(nil)
	return c
}

// optionalName reads a name that is required if its table is there; otherwise the
// missing table has been reported already.
func (s *section) optionalName(required bool, example string) string {
	if !required {
		return ""
	}
	return s.name(example)
}

func (s *section) positive(key string, d Duration) {
	if d <= 0 {
		s.fault(key, "is zero", `write a duration such as "30m"`)
	}
}

var (
	cronField    = regexp.MustCompile(`^[0-9A-Za-z*/,?L#-]+$`)
	cronShortcut = regexp.MustCompile(`^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$`)
)

// checkCron is the rule for what Temporal's schedules take: five fields, with
// seconds or years up to seven, or one of the @ words.
func checkCron(s string) (problem, advice string) {
	fields := strings.Fields(s)
	right := len(fields) >= 5 && len(fields) <= 7
	for _, field := range fields {
		right = right && cronField.MatchString(field)
	}
	if right || cronShortcut.MatchString(s) {
		return "", ""
	}
	return fmt.Sprintf("%q is not a cron expression", s), `write five fields such as "0 */2 * * *"`
}

func checkTimeZone(s string) (problem, advice string) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return fmt.Sprintf("%q is not a time zone", s), `write one like "Europe/Berlin" or "UTC"`
	}
	return "", ""
}

func readStorage(s *section) Storage {
	st := Storage{
		Name:         s.optionalName(s.table != nil, "main"),
		Root:         s.checked("root", "/srv/mirror/trees", checkDir),
		State:        s.checked("state", "/srv/mirror/state", checkDir),
		URL:          strings.TrimRight(s.checked("url", "https://origin.example.org", checkOrigin), "/"),
		MinFree:      s.size("min-free", defaultMinFree),
		RollbackKeep: s.duration("rollback-keep", defaultRollbackKeep),
	}
	if s.table != nil {
		s.require("root", `root = "/srv/mirror/trees"`)
	}
	if st.State == "" && st.Root != "" {
		st.State = filepath.Join(st.Root, ".state")
	}
	s.done(nil)
	return st
}

func readLimits(s *section) Limits {
	defer s.done(nil)
	return Limits{
		Downloads: s.count("downloads", 1, defaultDownloads),
		PerHost:   s.count("per-host", 1, defaultPerHost),
		Rate:      s.rate("rate"),
	}
}

func readRegion(s *section) Region {
	g := Region{
		Name:        s.name("dfw"),
		Dir:         s.checked("dir", "/srv/mirror/dfw", checkDir),
		URL:         s.url("url", "http://mirror.dfw.example.org"),
		Probe:       s.urls("probe", "http://front1.dfw.example.org"),
		Keep:        s.duration("keep", defaultKeep),
		IndexMaxAge: s.duration("index-max-age", defaultIndexMaxAge),
		Pull:        s.boolean("pull", false),
		State:       s.checked("state", "/srv/mirror/dfw-state", checkDir),
		Site:        s.checked("site", "/srv/mirror/dfw-site", checkDir),
		StaleAfter:  s.duration("stale-after", defaultStaleAfter),
	}
	if g.StaleAfter > maxStaleAfter || g.StaleAfter < Duration(time.Minute) {
		s.fault("stale-after", fmt.Sprintf("%v is out of range", g.StaleAfter), `write a duration from "1m" to "14d"`)
	}
	s.require("url", `url = "http://mirror.dfw.example.org"`)
	if site := s.sub("afs", `afs = { server = "afs01.example.org", partition = "a" }`); site.table != nil {
		g.AFS = &Site{
			Server:    site.checked("server", "afs01.example.org", matches(hostPattern, "a host name", "afs01.example.org")),
			Partition: site.checked("partition", "a", matches(partitionPattern, "a partition", "a")),
		}
		site.require("server", `server = "afs01.example.org"`)
		site.require("partition", `partition = "a"`)
		site.done(nil)
	}
	checkWhere(s)
	if g.AFS != nil {
		if s.has("keep") && g.Keep > 0 {
			s.fault("keep", "cannot be had in an AFS region: a site holds one generation", "remove it")
		}
		g.Keep = 0
	}
	if len(g.Probe) == 0 && g.URL != "" {
		g.Probe = []string{g.URL}
	}
	if g.State == "" && g.Dir != "" {
		g.State = filepath.Join(g.Dir, ".state")
	}
	if g.Site == "" && g.Dir != "" {
		g.Site = g.Dir + "-site"
	}
	s.done(nil)
	return g
}

// checkWhere wants a region to be either a directory or an AFS site.
func checkWhere(s *section) {
	switch {
	case !s.has("dir") && !s.has("afs"):
		s.require("dir", `dir = "/srv/mirror/dfw" or afs = { server = …, partition = … }`)
	case s.has("dir") && s.has("afs"):
		s.fault("afs", "stands beside dir", "write one of the two")
	case s.has("afs") && s.has("state"):
		s.fault("state", "has no meaning for an AFS region", "remove it")
	case s.has("afs") && s.has("pull"):
		s.fault("pull", "has no meaning for an AFS region", "remove it")
	}
}

func readAFS(s *section) *AFS {
	principal := matches(principalPattern, "a Kerberos principal", "service/mirror@EXAMPLE.ORG")
	a := &AFS{
		Cell:             s.checked("cell", "example.org", matches(hostPattern, "a cell name", "example.org")),
		Auth:             s.checked("auth", AuthKeytab, oneOf(AuthKeytab, AuthLocalauth)),
		WritePrincipal:   s.checked("write-principal", "service/mirror", principal),
		WriteKeytab:      s.checked("write-keytab", "/etc/mirror.keytab", checkDir),
		ReleasePrincipal: s.checked("release-principal", "service/release", principal),
		ReleaseKeytab:    s.checked("release-keytab", "/etc/release.keytab", checkDir),
		VolumePrefix:     s.checked("volume-prefix", defaultVolumePrefix, matches(prefixPattern, "a volume prefix", defaultVolumePrefix)),
		PurgeWithin:      s.duration("purge-within", defaultPurgeWithin),
		RemoveSiteAfter:  s.duration("remove-site-after", 0),
		Server:           s.checked("server", "afs01.example.org", matches(hostPattern, "a host name", "afs01.example.org")),
		Partition:        s.checked("partition", "a", matches(partitionPattern, "a partition", "a")),
		Quota:            s.size("quota", defaultQuota),
	}
	if a.Quota > maxQuota {
		s.fault("quota", "is more than an AFS volume can have", `write at most "2TB"`)
	}
	s.require("cell", `cell = "example.org"`)
	if a.Auth == "" {
		a.Auth = AuthKeytab
	}
	if a.VolumePrefix == "" {
		a.VolumePrefix = defaultVolumePrefix
	}
	if a.ReleasePrincipal == "" && a.ReleaseKeytab == "" {
		a.ReleasePrincipal, a.ReleaseKeytab = a.WritePrincipal, a.WriteKeytab
	}
	for _, key := range []string{"write-principal", "write-keytab", "release-principal", "release-keytab"} {
		if a.Auth == AuthLocalauth && s.has(key) {
			s.fault(key, `has no meaning with auth = "localauth"`, "remove it")
		}
	}
	s.done(nil)
	return a
}

// oneOf is the rule for a choice of words.
func oneOf(words ...string) rule {
	return func(s string) (problem, advice string) {
		for _, word := range words {
			if s == word {
				return "", ""
			}
		}
		return fmt.Sprintf("unknown value %q", s), fmt.Sprintf("did you mean %q? (one of: %s)", nearest(s, words), strings.Join(words, ", "))
	}
}
