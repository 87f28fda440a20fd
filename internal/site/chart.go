package site

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// bar is one bar of a chart, in the chart's own units.
type bar struct {
	X, Y, W, H float64
	Class      string
	Title      string
}

// chart is a row of bars.
type chart struct {
	Width, Height, Base float64
	Bars                []bar
	Label               string // what it shows, for those who do not see it
}

// The charts' geometry. A bar has a slot of its own, with a gap to the next one.
const (
	slot     = 24
	barWidth = 18
	upHeight = 44 // of the half above the line
	downSize = 26 // of the half below
	least    = 2  // height of the smallest bar that is not nothing
)

// Changes draws what the newest generations added (up) and dropped (down). The
// root makes an update of ten packages visible beside a first sync of a million.
func (v view) Changes(m Mirror) *chart {
	if len(m.Generations) == 0 {
		return nil
	}
	var top, low float64 = 1, 1
	for _, g := range m.Generations {
		top, low = max(top, float64(g.Added+g.Replaced)), max(low, float64(g.Dropped))
	}
	c := &chart{Width: float64(len(m.Generations)*slot - slot + barWidth), Height: upHeight + downSize + 2, Base: upHeight + 1}
	var parts []string
	for i, g := range m.Generations {
		up, down := scale(g.Added+g.Replaced, top, upHeight), scale(g.Dropped, low, downSize)
		title := fmt.Sprintf("Generation %d, %s: %s added, %s dropped", g.Number, when(g.Time), count(g.Added+g.Replaced), count(g.Dropped))
		if up+down == 0 {
			title = fmt.Sprintf("Generation %d, %s: indexes only", g.Number, when(g.Time))
		}
		x := float64(i * slot)
		c.Bars = append(c.Bars, bar{x, upHeight - up, barWidth, up, "added", title}, bar{x, upHeight + 2, barWidth, down, "dropped", title})
		parts = append(parts, title)
	}
	c.Label = "Changes of the newest generations. " + strings.Join(parts[max(len(parts)-3, 0):], ". ") + "."
	return c
}

func scale(n int64, top, height float64) float64 {
	if n == 0 {
		return 0
	}
	return max(round(math.Sqrt(float64(n)/top)*height), least)
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// CycleTimes draws how long the cycles took.
func (v view) CycleTimes() *chart {
	if len(v.Cycles) == 0 {
		return nil
	}
	const height = 96
	top := 1.0
	for _, c := range v.Cycles {
		top = max(top, c.Seconds)
	}
	out := &chart{Width: float64(max(len(v.Cycles), 40)*slot - slot + barWidth), Height: height + 1, Base: height}
	for i, c := range v.Cycles {
		h := max(round(c.Seconds/top*height), least)
		out.Bars = append(out.Bars, bar{float64(i * slot), height - h, barWidth, h, string(cycleLevel(c.Outcome)),
			fmt.Sprintf("%s: %s, %s", when(c.Started), seconds(c.Seconds), c.Outcome)})
	}
	last := v.Cycles[len(v.Cycles)-1]
	out.Label = fmt.Sprintf("How long the last %s took. The newest began %s, took %s and ended %s; the longest took %s.",
		plural(len(v.Cycles), "cycle"), when(last.Started), seconds(last.Seconds), last.Outcome, seconds(top))
	return out
}

func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return span(time.Duration(s * float64(time.Second)))
}

// LongestCycle and LastCycle caption the chart.
func (v view) LongestCycle() string {
	top := 0.0
	for _, c := range v.Cycles {
		top = max(top, c.Seconds)
	}
	return seconds(top)
}

func (v view) LastCycle() string { return seconds(v.Cycles[len(v.Cycles)-1].Seconds) }

// cycleLevel is the level of a cycle's outcome.
func cycleLevel(outcome string) Level {
	switch outcome {
	case "failed":
		return Wrong
	case "unchanged", "done", "planned", "busy":
		return OK
	}
	return Attention
}
