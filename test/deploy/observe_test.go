package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
)

const rules = "deploy/prometheus/rules.yml"

func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	lab.Need(t, "no promtool: apt-get install prometheus", err == nil)
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRules has Prometheus's own tool make alerts of how things stand.
func TestRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, from := range map[string]string{"rules.yml": rules, "test.yml": "test/deploy/testdata/rules_test.yml"} {
		if err := os.WriteFile(filepath.Join(dir, name), content(t, from), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, dir, "check", "rules", "rules.yml")
	promtool(t, dir, "test", "rules", "test.yml")
}

// TestEveryAlertSaysWhatToDo: each has a case, a summary, and a description that is more than a word.
func TestEveryAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	cases := string(content(t, "test/deploy/testdata/rules_test.yml"))
	docs := string(content(t, "docs/telemetry.md"))
	all := strings.Split(string(content(t, rules)), "- alert: ")[1:]
	for _, a := range all {
		name, _, _ := strings.Cut(a, "\n")
		if !strings.Contains(cases, `alertname="`+name+`"`) {
			t.Errorf("%s has no case in rules_test.yml", name)
		}
		if !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("%s is not in docs/telemetry.md", name)
		}
		_, text, _ := strings.Cut(a, "description: ")
		if !strings.Contains(a, "summary: ") || len(text) < 60 || !strings.Contains(a, "severity: ") {
			t.Errorf("%s does not say what to do", name)
		}
	}
}

var seriesName = regexp.MustCompile(`\b(?:mirrorcycle|http_client)_[a-z0-9_]+`)

// metrics are the series that the golden file of internal/telemetry promises.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for line := range strings.Lines(string(content(t, "internal/telemetry/testdata/metrics.golden"))) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "histogram" {
			out[name] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			out[name+suffix] = true
		}
	}
	return out
}

// labels are attributes of ours; everything else that looks like ours is a metric.
var labels = []string{"mirrorcycle_cycle", "mirrorcycle_mirror", "mirrorcycle_region", "mirrorcycle_kind", "mirrorcycle_outcome", "mirrorcycle_platform", "mirrorcycle_state", "mirrorcycle_reason"}

func known(t *testing.T, where, expr string) (found []string) {
	t.Helper()
	all := metrics(t)
	for _, name := range seriesName.FindAllString(expr, -1) {
		switch {
		case slices.Contains(labels, name):
		case all[name]:
			found = append(found, name)
		default:
			t.Errorf("%s asks for %s, which there is not", where, name)
		}
	}
	return found
}

func TestRulesAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(string(content(t, rules))) {
		known(t, rules, line)
	}
}

// TestDashboard: every query is one that Prometheus understands, of metrics that
// there are, and every metric of ours has a place.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var d struct {
		UID    string
		Panels []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(content(t, "deploy/grafana/dashboards/mirrorcycle.json"), &d); err != nil {
		t.Fatal(err)
	}
	shown, ids := map[string]bool{}, map[int]bool{}
	var b strings.Builder
	b.WriteString("groups: [{ name: dashboard, rules: [\n")
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || (p.Type != "row" && p.Description == "") {
			t.Errorf("panel %d %q: its number, place or description", p.ID, p.Title)
		}
		ids[p.ID] = true
		for i, target := range p.Targets {
			for _, name := range known(t, p.Title, target.Expr) {
				shown[name] = true
			}
			expr := strings.NewReplacer("$__rate_interval", "5m", "$cycle", ".*", "$mirror", ".*", "$region", ".*").Replace(target.Expr)
			fmt.Fprintf(&b, "{ record: 'panel_%d_%d', expr: %q },\n", p.ID, i, expr)
		}
	}
	for _, v := range d.Templating.List {
		known(t, "variable "+v.Name, v.Definition)
	}
	for name := range metrics(t) {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !shown[name] && !shown[base+"_bucket"] && !shown[base+"_sum"] && !shown[base+"_count"] {
			t.Errorf("%s is on no panel", name)
		}
	}
	b.WriteString("] }]\n")
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, ".", "check", "rules", file)
}

// TestDocsNameEveryMetric holds docs/telemetry.md to the golden names.
func TestDocsNameEveryMetric(t *testing.T) {
	t.Parallel()
	docs := string(content(t, "docs/telemetry.md"))
	for line := range strings.Lines(string(content(t, "internal/telemetry/testdata/metrics.golden"))) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); !strings.Contains(docs, "| `"+name+"` |") {
			t.Errorf("docs/telemetry.md lacks %s (go test ./internal/telemetry -update)", name)
		}
	}
}
