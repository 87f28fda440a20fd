package workflows

import (
	"fmt"
	"strings"
)

// The Web UI shows a workflow's current details as markdown.

func cycleDetails(r CycleResult) string {
	var b strings.Builder
	b.WriteString("| mirror | kind | outcome | generation | changed | regions | note |\n|---|---|---|---|---|---|---|\n")
	for _, m := range r.Mirrors {
		var where []string
		for _, reg := range m.Regions {
			where = append(where, fmt.Sprintf("%s: %s (%d)", reg.Region, reg.Outcome, reg.Serves))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s | %s | %s |\n", m.Mirror, m.Kind, m.Outcome, m.Generation, changed(m), strings.Join(where, ", "), note(m))
	}
	for _, m := range r.Mirrors {
		if len(m.Wheels) > 0 {
			b.WriteString("\n" + m.Mirror + ":\n\n" + wheelsDetails(m.Wheels))
		}
	}
	return b.String()
}

func mirrorDetails(r MirrorResult, p Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| stage | outcome | generation | changed | fetched | note |\n|---|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| %s | %s | %d | %s | %d of %d objects | %s |\n", p.Stage, r.Outcome, r.Generation, changed(r), p.DoneObjects, p.Objects, note(r))
	for _, d := range r.Deferred {
		fmt.Fprintf(&b, "\n- deferred %s: %s", d.Unit, cell(d.Error))
	}
	return b.String()
}

func regionDetails(rs []RegionResult) string {
	var b strings.Builder
	b.WriteString("| region | outcome | serves | reaped | waiting | note |\n|---|---|---|---|---|---|\n")
	for _, r := range rs {
		var reaped, waiting int64
		if r.Reaped != nil {
			reaped, waiting = r.Reaped.Objects, r.Reaped.Waiting
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s |\n", r.Region, r.Outcome, r.Serves, reaped, waiting, cell(r.Error))
	}
	return b.String()
}

func changed(m MirrorResult) string {
	if m.Changes == nil {
		return ""
	}
	return fmt.Sprintf("+%d −%d objects, %d indexes", m.Changes.Added, m.Changes.Dropped, m.Changes.Indexes)
}

func note(m MirrorResult) string {
	switch {
	case m.Error != "":
		return cell(m.Error)
	case len(m.Reasons) > 0:
		return cell(strings.Join(m.Reasons, "; "))
	case len(m.Deferred) > 0:
		return fmt.Sprintf("%d deferred", len(m.Deferred))
	}
	return ""
}

// cell makes text safe for a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}

func wheelsDetails(rs []WheelsResult) string {
	var b strings.Builder
	b.WriteString("| platform | outcome | built | failed | to build | waiting | note |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rs {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %s |\n", r.Platform, r.Outcome, r.Built, r.Failed, r.Builds, r.Waiting, cell(r.Error))
	}
	return b.String()
}
