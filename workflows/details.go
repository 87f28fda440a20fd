package workflows

import (
	"fmt"
	"strconv"
	"strings"

	"mirrorcycle/internal/tree"
)

// The Web UI shows a workflow's current details as markdown, at any moment of
// its run: what is not known yet is left out, and what still goes on has no
// outcome. Details are no part of history, so they may change freely.

// table renders rows below a heading.
func table(heading []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(heading)
	b.WriteString(strings.Repeat("|---", len(heading)) + "|\n")
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, text := range r {
			cells[i] = cell(text)
		}
		line(cells)
	}
	return b.String()
}

// cell makes text of foreign origin safe for a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", `\<`, "`", "\\`", "*", `\*`, `\`, `\\`).Replace(s)
}

// known is a number, or nothing as long as it is none.
func known[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// plural counts in words: "1 object", "2 objects".
func plural[N int | int64](n N, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

// size is a number of bytes in decimal units, as the spec writes them.
func size(n int64) string {
	v, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for v >= 999.5 && len(units) > 1 {
		v, units = v/1000, units[1:]
	}
	if v < 99.95 && units[0] != "B" {
		return fmt.Sprintf("%.1f %s", v, units[0])
	}
	return fmt.Sprintf("%.0f %s", v, units[0])
}

// cycleDetails shows a cycle; begun names the mirrors that were started. A
// cycle without an outcome still runs, and so do the mirrors that would be late.
func cycleDetails(r CycleResult, begun map[string]bool) string {
	var b strings.Builder
	var rows [][]string
	running := 0
	for _, m := range r.Mirrors {
		now := string(m.Outcome)
		if m.Outcome == Late && r.Outcome == "" {
			running++
			switch {
			case begun[m.Mirror]:
				now = "running"
			case len(m.Wheels) > 0:
				now = "building"
			default:
				now = "waiting"
			}
		}
		rows = append(rows, []string{m.Mirror, string(m.Kind), now, known(m.Generation), changes(m.Changes), served(m.Regions, false), note(m)})
	}
	switch {
	case r.Outcome != "":
		fmt.Fprintf(&b, "Outcome: **%s**\n\n", r.Outcome)
	case running > 0:
		fmt.Fprintf(&b, "%d of %s ended\n\n", len(rows)-running, plural(len(rows), "mirror"))
	}
	b.WriteString(table([]string{"mirror", "kind", "now", "generation", "changes", "regions", "note"}, rows))
	for _, m := range r.Mirrors {
		if len(m.Wheels) > 0 {
			b.WriteString("\n" + m.Mirror + ":\n\n" + wheelsDetails(m.Wheels, r.Outcome == ""))
		}
	}
	for _, s := range r.Sites {
		if s.Error != "" {
			fmt.Fprintf(&b, "\n- the status page of %s: %s", s.Region, cell(s.Error))
		}
	}
	if r.Report != nil && r.Report.Error != "" {
		fmt.Fprintf(&b, "\n- writing down how things stand: %s", cell(r.Report.Error))
	}
	return b.String()
}

// served says what regions serve; while their releases run, who would be late has no outcome yet.
func served(rs []RegionResult, running bool) string {
	var out []string
	for _, r := range rs {
		text := r.Region + ": " + string(r.Outcome)
		if running && r.Outcome == Late && r.Error == "" {
			text = r.Region + ": releasing"
		}
		if r.Serves > 0 {
			text += fmt.Sprintf(", serves %d", r.Serves)
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func changes(c *tree.Changes) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("+%d −%d objects, %s", c.Added, c.Dropped, plural(c.Indexes, "index file"))
}

// note is the one thing to know about a mirror.
func note(m MirrorResult) string {
	switch {
	case m.Error != "":
		return m.Error
	case len(m.Reasons) > 0:
		return strings.Join(m.Reasons, "; ")
	case len(m.Deferred) > 0:
		text := fmt.Sprintf("%d deferred", len(m.Deferred))
		if !news(m.Deferred) {
			text += ", known before"
		}
		return text
	case len(m.Mended) > 0:
		return plural(len(m.Mended), "damaged file") + " brought back"
	}
	return ""
}

// stages says what a mirror does in each stage of a run.
var stages = map[string]string{
	"open": "taking the lease of the tree", "plan": "asking upstream what changed", "commit": "committing the next generation",
	"roll back": "committing an old generation anew", "release": "releasing to the regions", "tend": "deleting what is due",
}

// mirrorDetails shows a mirror, whose newest committed generation may not be sealed yet.
func mirrorDetails(r MirrorResult, p Progress, committed int64) string {
	now := stages[p.Stage]
	switch p.Stage {
	case "fetch":
		now = fmt.Sprintf("fetching: %d of %s, %s of %s", p.DoneObjects, plural(p.Objects, "object"), size(p.DoneBytes), size(p.Bytes))
		if p.Shards > 1 {
			now += fmt.Sprintf(", %d of %d shards", p.DoneShards, p.Shards)
		}
	case "verify":
		now = fmt.Sprintf("verifying generation %d", committed)
	case "end":
		now = string(r.Outcome)
	}
	var rows [][]string
	row := func(what, text string) {
		if text != "" {
			rows = append(rows, []string{what, text})
		}
	}
	row("now", now)
	if p.Stage != "end" && (r.Outcome == Held || r.Outcome == OnHold || r.Outcome == Failed) {
		row("outcome", string(r.Outcome))
	}
	row("because", strings.Join(r.Reasons, "; "))
	if r.Outcome == Held {
		row("to approve", "starter approve "+r.Mirror+" "+r.Plan)
	}
	row("error", r.Error)
	row("generation", known(r.Generation))
	row("changes", changes(r.Changes))
	if r.Changes == nil && r.Info != nil {
		row("plan", fmt.Sprintf("+%d −%d objects, %s; %s to have", r.Info.Adds, r.Info.Drops, plural(r.Info.IndexChanges, "index file"), size(r.Info.Bytes)))
	}
	if r.Downloaded > 0 {
		row("downloaded", size(r.Downloaded))
	}
	row("regions", served(r.Regions, p.Stage == "release"))
	for _, d := range r.Deferred {
		what := "deferred"
		if d.Known {
			what = "deferred, known"
		}
		row(what, d.Unit+": "+d.Error)
	}
	for _, p := range r.Mended {
		row("brought back", p+" was damaged: look at the disk")
	}
	return table([]string{r.Mirror, string(r.Kind) + " mirror"}, rows)
}

// regionDetails shows a release; a region without an outcome is still at work.
func regionDetails(rs []RegionResult) string {
	var rows [][]string
	for _, r := range rs {
		now, deleted, waiting := string(r.Outcome), "", ""
		if now == "" {
			now = "releasing"
		}
		if r.Reaped != nil {
			deleted, waiting = plural(r.Reaped.Objects, "object"), plural(r.Reaped.Waiting, "object")
		}
		rows = append(rows, []string{r.Region, now, known(r.Serves), deleted, waiting, r.Error})
	}
	return table([]string{"region", "now", "serves", "deleted", "waits to be deleted", "note"}, rows)
}

// wheelsDetails shows builds by platform; while they run, who would be late has no outcome yet.
func wheelsDetails(rs []WheelsResult, running bool) string {
	var rows [][]string
	for _, r := range rs {
		now := string(r.Outcome)
		if running && r.Outcome == Late && r.Error == "" {
			now = "building"
			if r.Builds == 0 && r.Waiting > 0 {
				now = "waiting for another platform"
			}
		}
		rows = append(rows, []string{r.Platform, now, strconv.Itoa(r.Built), strconv.Itoa(r.Failed), strconv.Itoa(r.Builds), strconv.Itoa(r.Waiting), r.Error})
	}
	return table([]string{"platform", "now", "built", "failed", "to build", "waiting", "note"}, rows)
}
