package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/lab"
)

// rights are the directories below /srv/mirror that somebody may write, and may read only.
type rights struct{ Write, Read []string }

// TestTableOfRights holds docs/security.md against the units and docker-compose.yml.
func TestTableOfRights(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(lab.Root(), "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]rights{}
	_, table, _ := strings.Cut(string(text), "| who | may write | may read |\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != 3 {
			break
		}
		if !strings.HasPrefix(cells[0], "---") {
			want[strings.TrimSpace(cells[0])] = rights{paths(cells[1]), paths(cells[2])}
		}
	}
	got := granted(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/security.md (-) and deploy (+) differ:\n%s", diff)
	}
}

// granted reads what units and services may.
func granted(t *testing.T) map[string]rights {
	t.Helper()
	out := map[string]rights{}
	units, err := filepath.Glob(filepath.Join(lab.Root(), "deploy/systemd/*.service"))
	if err != nil || len(units) == 0 {
		t.Fatal("no units: ", err)
	}
	for _, name := range units {
		u := readUnit(t, name)
		out[strings.TrimSuffix(filepath.Base(name), ".service")] = rights{paths(u["ReadWritePaths"]), paths(u["ReadOnlyPaths"])}
	}
	p, err := compose(t, types.Mapping{"POSTGRES_PASSWORD": "a", "GRAFANA_PASSWORD": "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Services {
		var write, read []string
		for _, v := range s.Volumes {
			if v.ReadOnly {
				read = append(read, v.Target)
			} else {
				write = append(write, v.Target)
			}
		}
		// Services that mount nothing of ours are others' programs.
		if r := (rights{paths(strings.Join(write, " ")), paths(strings.Join(read, " "))}); r.Write != nil || r.Read != nil || s.Image == "mirrorcycle" {
			out["compose: "+s.Name] = r
		}
	}
	return out
}

// paths picks those below /srv/mirror, in order.
func paths(text string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,", r) }) {
		if strings.HasPrefix(w, "/srv/mirror") {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

// readUnit reads the keys of a unit; those that stand several times are joined.
func readUnit(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			out[key] = strings.TrimSpace(out[key] + " " + value)
		}
	}
	return out
}

// TestUnits has systemd read each unit, with programs that are there, and say how much it is exposed.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	lab.Need(t, "systemd-analyze is not installed", err == nil)
	// In tenths, as systemd 252 counts them: the worker has no rights, the builder has to be root and to mount, the other needs its PAG.
	for name, most := range map[string]string{"mirrorcycle-worker@": "15", "mirrorcycle-wheels@": "44", "mirrorcycle-afs@": "20"} {
		data, err := os.ReadFile(filepath.Join(lab.Root(), "deploy/systemd", name+".service"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("/usr/local/bin/worker", "/bin/true", "/usr/bin/k5start", "/bin/true", "openafs-client.service", "network.target").Replace(string(data))
		unit := filepath.Join(t.TempDir(), name+"x.service")
		if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), unit) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if out, err := exec.Command(analyze, "security", "--no-pager", "--offline=yes", "--threshold="+most, unit).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
