package archives_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"mirrorcycle/mirrorspec"
)

// TestDatesAsAptJudgesThem: what apt takes for a Date is mirrored, what it refuses is not.
func TestDatesAsAptJudgesThem(t *testing.T) {
	m := newMaker(t, "apt-ftparchive")
	m.deb("pool/main", "alpha", "1", "amd64")
	m.ftparchive()
	release := m.run(m.dir, "cat", "dists/stable/Release")
	field := regexp.MustCompile(`(?m)^Date: .*\n`)
	at := time.Now().Add(-time.Hour).UTC()
	for name, c := range map[string]struct {
		lines    string
		accepted bool
	}{
		"as apt-ftparchive writes it": {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\n", true},
		"UTC":                         {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + " UTC\n", true},
		"one digit of the day":        {"Date: " + at.Format("Mon, 2 Jan 2006 15:04:05") + " GMT\n", true},
		"another weekday":             {"Date: " + at.Add(24*time.Hour).Format("Mon") + at.Format(", 02 Jan 2006 15:04:05") + " GMT\n", true},
		"one digit of the hour":       {"Date: " + at.Format("Mon, 02 Jan 2006 ") + "9:04:05 GMT\n", true},
		"an offset":                   {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + " +0200\n", true},
		"a zone by name":              {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + " CET\n", true},
		"no zone":                     {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + "\n", true},
		"no text of a date":           {"Date: yesterday\n", true},
		"no Date":                     {"", true},
		"no text of an end":           {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + " UTC\nValid-Until: tomorrow\n", false},
		"in the future":               {"Date: " + at.Add(48*time.Hour).Format("Mon, 02 Jan 2006 15:04:05") + " UTC\n", false},
		"past its Valid-Until": {"Date: " + at.Format("Mon, 02 Jan 2006 15:04:05") + " UTC\nValid-Until: " +
			at.Add(time.Minute).Format("Mon, 02 Jan 2006 15:04:05") + " UTC\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			mine := *m
			mine.t = t
			if name == "one digit of the hour" && at.Hour() < 10 && time.Now().UTC().Hour() < 10 {
				return // it would be in the future
			}
			mine.write("dists/stable/Release", field.ReplaceAllString(release, c.lines))
			os.Remove(filepath.Join(m.dir, "dists/stable/InRelease"))
			os.Remove(filepath.Join(m.dir, "dists/stable/Release.gpg"))
			mine.sign("dists/stable")
			upstream := upstreamOf(t, m.dir)
			machine := newClient(t, "deb [signed-by="+m.keys+"] "+upstream+" stable main\n", `APT::Architectures { "amd64"; };`)
			said, refused := machine.run("apt-get", "update")
			if (refused == nil) != c.accepted {
				t.Errorf("apt accepts it: %v\n%s", refused == nil, said)
			}
			mirror := mine.newMirror(mirrorspec.Mirror{Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}}, upstream)
			if r := mirror.run(t); (r.Err == nil && r.Number == 1) != c.accepted {
				t.Errorf("the mirror accepts it: %v %v", r.Number, r.Err)
			}
		})
	}
}
