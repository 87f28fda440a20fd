package mirrorspec

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shownBy names, for each key, a directory and a test there in which what the
// key says changes an outcome. A key that has one name in several kinds stands in
// the first of them if it means the same. Names of things are left out.
var shownBy = map[string]map[string]string{
	"cycle": {
		"every":        "starter TestCycleKeysReachTheSchedule",
		"cron":         "starter TestCycleKeysReachTheSchedule",
		"jitter":       "starter TestCycleKeysReachTheSchedule",
		"time-zone":    "starter TestCycleKeysReachTheSchedule",
		"catch-up":     "starter TestCycleKeysReachTheSchedule",
		"mirror-wait":  "workflows TestStuckCyclesTimeOut",
		"release-wait": "",
		"wheel-window": "test/wheels TestWindowAndDeaths",
	},
	"storage": {
		"root":          "activities TestPermit",
		"state":         "activities TestPermit",
		"url":           "internal/release TestForRefusesWhatItCannotServe",
		"min-free":      "internal/mirror TestWhatIsThereNeedsNoRoom",
		"rollback-keep": "internal/tree TestRollbackKeep",
	},
	"limits": {
		"downloads":    "internal/fetch TestLimits",
		"per-host":     "internal/fetch TestLimits",
		"rate":         "internal/fetch TestRate",
		"step":         "internal/apt TestStepsOfSuites",
		"step-objects": "test/cycle TestGrowthInSteps",
	},
	"region": {
		"dir":           "activities TestPermit",
		"state":         "activities TestPermit",
		"url":           "internal/clientfiles TestFiles",
		"probe":         "internal/release TestProbe",
		"keep":          "internal/ledger TestDue",
		"index-max-age": "internal/serve TestFiles",
		"pull":          "internal/release TestForRefusesWhatItCannotServe",
		"site":          "internal/serve TestSiteOfARegion",
		"stale-after":   "internal/site TestAHealthyRegionStaysHealthy",
		"afs":           "workflows TestReleaseOfAVolume",
	},
	"afs": {
		"cell":              "internal/doctor TestCellOutOfReach",
		"write-principal":   "internal/doctor TestCellOutOfReach",
		"auth":              "",
		"write-keytab":      "test/afs TestDoctorMissesRights",
		"release-principal": "test/afs TestOperatorsCommands",
		"release-keytab":    "test/afs TestOperatorsCommands",
		"volume-prefix":     "internal/afsadmin TestPlan",
		"quota":             "internal/afsadmin TestPlan",
		"server":            "internal/afsadmin TestPlan",
		"partition":         "internal/afsadmin TestPlan",
		"purge-within":      "test/afs TestDeletionsRide",
		"remove-site-after": "test/afs TestSiteServerOff",
	},
	"notify": {
		"url-file": "test/cycle TestNotifyFailedAndLagging",
		"lag":      "test/cycle TestNotifyFailedAndLagging",
	},
	"guard": {
		"share": "workflows TestGuard",
		"count": "workflows TestGuard",
	},
	"platform": {
		"root":   "test/wheelbuild TestARootWithoutItsFiles",
		"python": "internal/wheel TestIsFor",
	},
	"apt": {
		"upstream":          "internal/apt TestNextUpstream",
		"netrc":             "internal/fetch TestNetrc",
		"client-cert":       "internal/fetch TestCertificates",
		"client-key":        "internal/fetch TestCertificates",
		"ca-file":           "internal/fetch TestCertificates",
		"keyring":           "internal/apt TestKeyringMissing",
		"on-conflict":       "internal/apt TestReplace",
		"missing":           "internal/apt TestTolerate",
		"architectures":     "internal/apt TestSuiteLacksAPart",
		"suites":            "internal/apt TestSuiteLeavesTheSpec",
		"components":        "internal/apt TestComponentsOfASuite",
		"translations":      "test/archives TestClientsOfEverything",
		"indexes":           "test/archives TestUdebs",
		"sources":           "test/archives TestSources",
		"check-valid-until": "internal/apt TestArchivedSuite",
		"by-hash":           "internal/apt TestWithoutByHash",
	},
	"yum": {
		"keyring":       "internal/yum TestKeyringMissing",
		"on-conflict":   "internal/yum TestReplace",
		"missing":       "internal/yum TestTolerate",
		"architectures": "internal/yum TestPool",
		"repos":         "internal/yum TestPool",
		"releasever":    "internal/yum TestPool",
		"proof":         "internal/yum TestProofModes",
		"metalink":      "internal/yum TestMetalink",
		"mirrorlist":    "internal/yum TestMirrorList",
		"packages":      "internal/yum TestFilter",
		"exclude":       "internal/yum TestFilter",
		"keep-latest":   "internal/yum TestFilter",
		"sources":       "internal/yum TestFilter",
		"debuginfo":     "internal/yum TestFilter",
	},
	"pypi": {
		"projects":            "internal/pypi TestSelectionChanges",
		"exclude":             "internal/pypi TestSelectionChanges",
		"requirements":        "internal/pypi TestWheelsMirrorsAsRequirements",
		"keep-latest":         "internal/pypi TestKeepLatest",
		"keep-pre-releases":   "internal/pypi TestKeepLatest",
		"keep-local-versions": "internal/pypi TestKeepLatest",
		"index":               "test/real TestUpstreamsOfOtherTools",
	},
	"wheels": {
		"index":             "test/wheels TestIndexFollowsWants",
		"github":            "internal/reqsource TestRefsBecomePins",
		"refs":              "internal/reqsource TestRefsBecomePins",
		"file":              "internal/reqsource TestFiles",
		"url":               "internal/reqsource TestURLsAreAskedConditionally",
		"requirements":      "internal/reqsource TestUnreadableLinesOfABranch",
		"constraints":       "internal/reqsource TestAllOfUpperConstraints",
		"platforms":         "test/wheelcycle TestFieldOnThreeDebians",
		"sandbox":           "test/wheelbuild TestWithoutASandbox",
		"build-timeout":     "test/wheelcycle TestHostileSources",
		"build-processes":   "test/wheelcycle TestHostileSources",
		"build-disk":        "test/wheelcycle TestHostileSources",
		"build-memory":      "internal/sandbox TestLimitsAreWritten",
		"builds":            "workflows TestWheels",
		"build-log":         "internal/sandbox TestLogKeepsHeadAndTail",
		"build-constraints": "test/wheelbuild TestBuildConstraints",
	},
}

// unshown are keys of which only their reading is tested.
var unshown = []string{"afs.auth", "cycle.release-wait"}

// TestEveryKeyIsShown: a key that nothing reads must not stay.
func TestEveryKeyIsShown(t *testing.T) {
	var none []string
	for _, at := range slices.Sorted(maps.Keys(allKeys())) {
		table, key, _ := strings.Cut(at, ".")
		by := shownBy[table][key]
		if by == "" && Kind(table).known() {
			by = shownBy[string(Apt)][key]
		}
		dir, test, ok := strings.Cut(by, " ")
		switch {
		case key == "name":
		case !ok:
			none = append(none, at)
		case !declares(t, filepath.Join("..", dir), test):
			t.Errorf("%s: there is no %s in %s", at, test, dir)
		}
	}
	if !slices.Equal(none, unshown) {
		t.Errorf("keys that no test shows to change anything: %q, want %q", none, unshown)
	}
}

// allKeys returns what the readers of tables ask for.
func allKeys() map[string]bool {
	out := map[string]bool{}
	add := func(table string, read func(*section)) {
		r := &reader{places: map[string]place{}, broken: map[string]bool{}}
		s := r.section("", newTable(place{1, 1}))
		read(s)
		for _, key := range s.known {
			out[table+"."+key] = true
		}
	}
	add("cycle", func(s *section) { readCycle(s) })
	add("storage", func(s *section) { readStorage(s) })
	add("limits", func(s *section) { readLimits(s) })
	add("region", func(s *section) { readRegion(s) })
	add("afs", func(s *section) { readAFS(s) })
	add("notify", func(s *section) { readNotify(s) })
	add("guard", func(s *section) { readGuard(s) })
	add("platform", func(s *section) { readPlatform(s, checkDir) })
	for _, k := range kinds() {
		add(string(k), func(s *section) { readKind(s, &Mirror{Kind: k}) })
	}
	return out
}

func declares(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + test + `\(`)
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := os.ReadFile(name)
		return err == nil && declared.Match(text)
	})
}
