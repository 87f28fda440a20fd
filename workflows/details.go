package workflows

import (
	"fmt"
	"strconv"
	"strings"

	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
)

// The Web UI shows a workflow's current details as markdown, in a column that
// is too narrow for tables, and lists in lists as one line. They are shown at
// any moment of a run: what is not known yet is left out, and what still goes
// on has no outcome. Details are no part of history, so they may change freely.

// item is a line of a list; text of foreign origin cannot leave it.
func item(name, text string) string {
	if name != "" {
		name = "**" + plainly(name) + "** "
	}
	return "- " + name + plainly(text) + "\n"
}

var markdown = strings.NewReplacer("\n", " ", `\`, `\\`, "<", `\<`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`)

func plainly(text string) string { return markdown.Replace(text) }

// also appends what is known to what was said.
func also(text, more string) string {
	if more == "" {
		return text
	}
	return text + ", " + more
}

// generation is its number in words, or nothing as long as there is none.
func generation(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("generation %d", n)
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

// cycleDetails shows a cycle. One without an outcome still runs, and so do the
// mirrors that would be late.
func cycleDetails(r CycleResult) string {
	var b strings.Builder
	running := 0
	for _, m := range r.Mirrors {
		now := string(m.Outcome)
		if m.Outcome == Late && r.Outcome == "" {
			running++
			now = "running"
		}
		fmt.Fprintf(&b, "\n**%s** (%s): %s\n\n", plainly(m.Mirror), m.Kind, also(now, generation(m.Generation)))
		for _, text := range []string{note(m), changes(m.Changes)} {
			if text != "" {
				b.WriteString(item("", text))
			}
		}
		if m.Outcome == Held {
			b.WriteString(approval(m))
		}
		for _, reg := range m.Regions {
			b.WriteString(item("", reg.Region+": "+served(reg, false)))
		}
		for _, w := range m.Wheels {
			b.WriteString(item("", w.Platform+": "+builtSoFar(w, r.Outcome == "")))
		}
	}
	for _, s := range r.Sites {
		if s.Error != "" {
			b.WriteString("\n" + item("status page of "+s.Region, s.Error))
		}
	}
	if r.Report != nil && r.Report.Error != "" {
		b.WriteString("\n" + item("writing down how things stand", r.Report.Error))
	}
	if r.Outcome != "" {
		return headline(string(r.Outcome)) + b.String()
	}
	return headline(fmt.Sprintf("%d of %s ended", len(r.Mirrors)-running, plural(len(r.Mirrors), "mirror"))) + b.String()
}

func headline(text string) string { return "**" + text + "**\n\n" }

// served says what a region serves; while its release runs, who would be late has no outcome yet.
func served(r RegionResult, running bool) string {
	text := string(r.Outcome)
	if running && (r.Outcome == "" || r.Outcome == Late && r.Error == "") {
		text = "releasing"
	}
	if r.Serves > 0 {
		text = also(text, fmt.Sprintf("serves generation %d", r.Serves))
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
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

// approval is what releases a held mirror.
func approval(m MirrorResult) string {
	return fmt.Sprintf("- look at it with `starter plan %s`, then: `%s`\n", m.Mirror, site.Approve(m.Mirror, m.Approval()))
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
		now = fmt.Sprintf("fetching %s, %s", plural(p.Objects, "object"), size(p.Bytes))
		if p.Shards > 1 { // what is done of a shard is in its heartbeats, which a workflow does not see
			now = fmt.Sprintf("fetching: %d of %s, %s of %s, %d of %d shards", p.DoneObjects, plural(p.Objects, "object"), size(p.DoneBytes), size(p.Bytes), p.DoneShards, p.Shards)
		}
	case "verify":
		now = "verifying " + generation(committed)
	case "end":
		now = string(r.Outcome)
	}
	var b strings.Builder
	say := func(what, text string) {
		if text != "" {
			b.WriteString(item(what, text))
		}
	}
	if p.Left > 0 {
		say("step", fmt.Sprintf("%d, served before the next one begins; %d projects, suites or repositories wait", p.Step, p.Left))
	}
	if p.Stage != "end" && (r.Outcome == Held || r.Outcome == OnHold || r.Outcome == Failed) {
		say("outcome", string(r.Outcome))
	}
	say("because", strings.Join(r.Reasons, "; "))
	if r.Outcome == Held {
		b.WriteString(approval(r))
	}
	say("error", r.Error)
	if r.Generation > 0 {
		say("generation", strconv.FormatInt(r.Generation, 10))
	}
	say("changes", changes(r.Changes))
	if r.Changes == nil && r.Info != nil {
		say("plan", fmt.Sprintf("+%d −%d objects, %s; %s to fetch", r.Info.Adds, r.Info.Drops, plural(r.Info.IndexChanges, "index file"), size(r.Info.Bytes)))
	}
	if r.Downloaded > 0 {
		say("downloaded", size(r.Downloaded))
	}
	for _, reg := range r.Regions {
		say(reg.Region, served(reg, p.Stage == "release"))
	}
	for _, d := range r.Deferred {
		what := "deferred"
		if d.Known {
			what = "deferred, known"
		}
		say(what, d.Unit+": "+d.Error)
	}
	for _, p := range r.Mended {
		say("brought back", p+" was damaged: look at the disk")
	}
	return headline(now) + b.String()
}

// passes says what a mirror waits for in each stage of a cycle.
var passes = map[string]string{
	"identify": "reading which tree it is", "wait": "waiting for a mirror that precedes this one", "build": "building wheels",
	"refresh": "refreshing the tree", "release": "waiting for the regions",
}

// passDetails shows what a mirror does in a cycle.
func passDetails(r MirrorResult, stage string) string {
	text := mirrorDetails(r, Progress{Stage: stage}, r.Generation)
	if now := passes[stage]; now != "" {
		_, rest, _ := strings.Cut(text, "\n\n")
		return headline(now) + rest
	}
	return text
}

// regionDetails shows a release; a region without an outcome is still at work.
func regionDetails(rs []RegionResult) string {
	var b strings.Builder
	for _, r := range rs {
		text := served(r, true)
		if r.Reaped != nil {
			text = also(text, fmt.Sprintf("%s deleted, %d not due yet", plural(r.Reaped.Objects, "object"), r.Reaped.Waiting))
		}
		b.WriteString(item(r.Region, text))
	}
	return b.String()
}

// builtSoFar shows a platform; while its builds run, who would be late has no outcome yet.
func builtSoFar(r WheelsResult, running bool) string {
	now := string(r.Outcome)
	if running && r.Outcome == Late && r.Error == "" {
		now = "building"
		if r.Builds == 0 && r.Waiting > 0 {
			now = "waiting for another platform"
		}
	}
	text := fmt.Sprintf("%s, %d built, %d failed, %d to build", now, r.Built, r.Failed, r.Builds)
	if r.Waiting > 0 {
		text += fmt.Sprintf(", %d wait for another platform", r.Waiting)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}
