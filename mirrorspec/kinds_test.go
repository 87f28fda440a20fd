package mirrorspec

import (
	"strings"
	"testing"
	"time"
)

// TestAKindIsARow adds a kind by a row: its keys are read, its grace is the
// default, and its keys mean nothing elsewhere.
func TestAKindIsARow(t *testing.T) {
	before := rows
	t.Cleanup(func() { rows = before })
	rows = append(rows, row{kind: "toy", grace: Duration(time.Hour), read: func(s *section, m *Mirror) { m.File = s.str("wheel", "round") }})
	const spec = "[cycle]\nname = \"c\"\nevery = \"1h\"\n[storage]\nname = \"s\"\nroot = \"/srv/trees\"\nstate = \"/srv/state\"\n[[region]]\nname = \"r\"\ndir = \"/srv/r\"\nurl = \"http://r.example.org\"\n[[mirror]]\nname = \"toys\"\nkind = \"toy\"\nupstream = [\"http://up.example.org\"]\n"
	got, faults := Parse("mirrors.toml", []byte(spec+"wheel = \"spare\"\n"))
	if len(faults) > 0 || got.Mirrors[0].File != "spare" || got.Mirrors[0].Grace != Duration(time.Hour) {
		t.Errorf("%+v, %v", got, faults)
	}
	_, faults = Parse("mirrors.toml", []byte(strings.Replace(spec, "toy\"", "pypi\"", 1)+"wheel = \"spare\"\n"))
	if len(faults) == 0 || !strings.Contains(faults.Error(), "only for toy") {
		t.Errorf("a key of the kind is taken elsewhere: %v", faults)
	}
}
