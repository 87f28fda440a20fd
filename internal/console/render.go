package console

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// starting is the stage of a mirror that no worker has answered for yet.
const starting = "starting"

const waiting = "waiting for a worker"

// Screen is everything that a frame shows.
type Screen struct {
	Lines    []Line
	Elapsed  time.Duration
	Frame    int // moves the spinner
	Width    int // columns
	Height   int // rows, 0 for as many as there are lines
	Color    bool
	Finished bool
}

// Line is one mirror at its present rate.
type Line struct {
	Mirror
	Rate Rate
}

// Render returns a frame: at most Height-1 lines of at most Width-1 columns each,
// so that neither the last column nor the last row makes a terminal scroll.
func Render(s Screen) string {
	frame, _ := draw(s)
	return frame
}

// draw renders a frame and tells the columns of its lines.
func draw(s Screen) (string, []int) {
	limit := max(s.Width-1, 1)
	shown, hidden := s.visible()
	table := newTable(shown, limit)
	var b strings.Builder
	var widths []int
	line := func(text string, style func(string) string) {
		text = cut(text, limit)
		widths = append(widths, utf8.RuneCountInString(text))
		b.WriteString(style(text) + "\n")
	}
	plain := func(text string) string { return text }
	for _, l := range shown {
		style := plain
		if s.Color {
			style = func(text string) string { return paint(text, l.Mirror, table.name) }
		}
		line(table.line(l), style)
	}
	if hidden > 0 {
		line(fmt.Sprintf("and %d more", hidden), plain)
	}
	line(s.summary(), plain)
	return b.String(), widths
}

// visible returns the lines that fit the height, in their order: those that
// still run go before those that ended.
func (s Screen) visible() (shown []Line, hidden int) {
	room := s.Height - 3 // the summary, "and more", and the row of the cursor
	if s.Height == 0 || len(s.Lines) <= room+1 {
		return s.Lines, 0
	}
	room = max(room, 1)
	running := 0
	for _, l := range s.Lines {
		if !l.Ended {
			running++
		}
	}
	ended := max(room-running, 0)
	for _, l := range s.Lines {
		if len(shown) == room || l.Ended && ended == 0 {
			continue
		}
		if l.Ended {
			ended--
		}
		shown = append(shown, l)
	}
	return shown, len(s.Lines) - len(shown)
}

func (s Screen) summary() string {
	ended := 0
	for _, l := range s.Lines {
		if l.Ended {
			ended++
		}
	}
	what := waiting
	if n := len(s.Lines); n > 0 {
		what = fmt.Sprintf("%d of %s ended", ended, plural(n, "mirror"))
	}
	if s.Finished {
		return fmt.Sprintf("%s in %s", what, clock(s.Elapsed))
	}
	return fmt.Sprintf("%c %s  %s", `|/-\`[s.Frame%4], clock(s.Elapsed), what)
}

// table holds the widths of the columns; one of 0 is left out.
type table struct{ name, stage, bar, objects, bytes, rate, left int }

const minBar, maxBar = 6, 30

// newTable gives every column its room. Until a line fits it shortens long names
// and leaves out the less important columns. Widths come from totals and
// not from what is done, so that columns do not jump from frame to frame.
func newTable(lines []Line, limit int) table {
	t := table{bar: minBar, rate: len("12.3 MB/s"), left: len("1:23:45")}
	for _, l := range lines {
		t.name = max(t.name, utf8.RuneCountInString(l.Name))
		t.stage = max(t.stage, len("unchanged"))
		if l.Objects > 0 || l.Bytes > 0 { // otherwise nothing stands behind the stage
			t.stage = max(t.stage, utf8.RuneCountInString(l.stage()))
		}
		total := l.Mirror
		total.DoneObjects = total.Objects
		t.objects = max(t.objects, len("0/0"), len(total.objects()))
		t.bytes = max(t.bytes, len("12.3/45.6 MB"))
	}
	name := min(t.name, limit*2/5)
	t.name = min(name, max(limit/5, 8))
	for _, column := range []*int{&t.bytes, &t.rate, &t.bar, &t.left, &t.objects} {
		if t.width() <= limit {
			break
		}
		*column = 0
	}
	t.name = min(max(t.name+limit-t.width(), 4), name)
	if t.bar > 0 {
		t.bar = min(t.bar+limit-t.width(), maxBar)
	}
	return t
}

func (t table) width() int {
	n := t.name + 1 + t.stage
	for _, column := range []int{t.bar, t.objects, t.bytes, t.rate, t.left} {
		if column > 0 {
			n += 1 + column
		}
	}
	return n
}

func (t table) line(l Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s %-*s", t.name, cut(l.Name, t.name), t.stage, l.stage())
	cell := func(width int, text string) {
		if width > 0 {
			fmt.Fprintf(&b, " %*s", width, text)
		}
	}
	rest := ""
	if d, ok := left(l.Mirror, l.Rate); ok {
		rest = clock(d)
	}
	if l.Objects == 0 && l.Bytes == 0 {
		return strings.TrimRight(b.String(), " ")
	}
	cell(t.bar, l.bar(t.bar))
	cell(t.objects, l.objects())
	cell(t.bytes, l.bytes())
	cell(t.rate, rate(l.Rate.Bytes, l.Ended))
	cell(t.left, rest)
	return strings.TrimRight(b.String(), " ")
}

func (m Mirror) stage() string {
	if m.Stage == "" || m.Stage == starting && !m.Ended {
		return waiting
	}
	return m.Stage
}

// bar shows the share that is done: of the bytes, or of the objects where no
// bytes are known. It is full only when everything is.
func (m Mirror) bar(width int) string {
	if m.Ended || width < 3 {
		return ""
	}
	done, total := m.DoneBytes, m.Bytes
	if total == 0 {
		done, total = m.DoneObjects, m.Objects
	}
	inner := width - 2
	n := int(float64(done) / float64(total) * float64(inner))
	fill := strings.Repeat("=", n)
	if done < total {
		n = min(n, inner-1)
		fill = strings.Repeat("=", n) + ">"
	}
	return "[" + fill + strings.Repeat(" ", inner-len(fill)) + "]"
}

// paint colours the stage, which begins behind the name's column.
func paint(text string, m Mirror, name int) string {
	runes := []rune(text)
	from := min(name+1, len(runes))
	to := min(from+utf8.RuneCountInString(m.stage()), len(runes))
	return string(runes[:from]) + "\x1b[" + color(m) + "m" + string(runes[from:to]) + "\x1b[0m" + string(runes[to:])
}

// color of a stage: 36 cyan while it runs, 32 green, 33 yellow, 31 red as it ended.
func color(m Mirror) string {
	if !m.Ended {
		return "36"
	}
	switch m.Stage {
	case "failed":
		return "31"
	case "done", "unchanged", "planned":
		return "32"
	}
	return "33"
}
