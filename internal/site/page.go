package site

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New(PageName).Funcs(template.FuncMap{
	"count": count, "bytes": bytesText, "when": when, "brief": brief, "stamp": stamp, "join": func(s []string) string { return strings.Join(s, "; ") },
	"icon": icon, "favicon": favicon, "reasons": reasons,
}).Parse(pageText))

// Render writes the page. files are the client files to lead to, below ConfigDir.
func Render(w io.Writer, s *Status, files []string) error {
	v := view{Status: s, files: files}
	return pageTemplate.Execute(w, v)
}

// reasons counts things by kind of fault, "0" if there are none.
func reasons(by map[string]int64) string {
	total, parts := int64(0), []string{}
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		total += by[kind]
		parts = append(parts, fmt.Sprintf("%s %s", count(by[kind]), kind))
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", count(total), strings.Join(parts, ", "))
}

// view is what the template reads: the status and how to say it.
type view struct {
	*Status
	files []string
}

// Headline says in a few words how things are.
func (v view) Headline() string {
	wrong, look := 0, 0
	for _, p := range v.Problems {
		if p.Level == Wrong {
			wrong++
		} else {
			look++
		}
	}
	switch {
	case wrong > 0 && look > 0:
		return fmt.Sprintf("%s wrong, %s a look", things(wrong, "is", "are"), things(look, "needs", "need"))
	case wrong > 0:
		return things(wrong, "is", "are") + " wrong"
	case look > 0:
		return things(look, "needs", "need") + " a look"
	case len(v.Mirrors) == 0:
		return "No mirror yet"
	}
	return "All is well"
}

func things(n int, one, many string) string {
	if n == 1 {
		return "1 thing " + one
	}
	return fmt.Sprintf("%d things %s", n, many)
}

// Scope says how much the page is about.
func (v view) Scope() string {
	return fmt.Sprintf("%s in %s", plural(len(v.Mirrors), "mirror"), plural(len(v.Regions), "region"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Cells are what every region serves of a mirror, in the order of Regions;
// those it does not go to are nil.
func (v view) Cells(m Mirror) []cell {
	out := make([]cell, 0, len(v.Regions))
	for _, r := range v.Regions {
		out = append(out, cell{Region: r.Name, Served: m.In(r.Name), Mirror: m, now: v.Written})
	}
	return out
}

// cell is one field of the table.
type cell struct {
	*Served
	Region string
	Mirror Mirror
	now    time.Time
}

func (c cell) Level() Level {
	if c.Served == nil || c.Serves == 0 && c.Error == "" {
		return ""
	}
	if p, bad := c.problem(&c.Mirror, c.now); bad {
		return p.Level
	}
	return OK
}

// Word says it, for those who see no colour.
func (c cell) Word() string {
	switch {
	case c.Error != "" && !c.SeenAt.Equal(c.now):
		return "no answer"
	case c.Serves == 0:
		return "nothing yet"
	case c.Serves < c.Mirror.Generation:
		return "behind"
	case c.Error != "":
		return "error"
	}
	return "newest"
}

// Age is how long ago what is served was made.
func (c cell) Age() string {
	if c.Served == nil || c.Time.IsZero() {
		return ""
	}
	return ago(c.now.Sub(c.Time))
}

func (v view) Ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return ago(v.Written.Sub(t))
}

// Lag says how far a mirror may be behind its upstream.
func (v view) Lag(m Mirror) string {
	switch {
	case m.LevelAt.IsZero():
		return "not level yet"
	case m.LevelAt.Equal(v.Written):
		return "none"
	case v.Written.Sub(m.LevelAt) < time.Minute:
		return "less than a minute"
	}
	return "up to " + span(v.Written.Sub(m.LevelAt))
}

// MirrorLevel is the worst of the mirror's problems.
func (v view) MirrorLevel(m Mirror) Level {
	for _, p := range v.Problems {
		if p.Mirror == m.Name {
			return p.Level // they are sorted
		}
	}
	return OK
}

// Outcome says how the last cycle ended for a mirror.
func (v view) Outcome(m Mirror) string {
	switch m.Outcome {
	case "unchanged":
		return "nothing new upstream"
	case "done":
		return "took all that was new"
	case "partial":
		return "took a part"
	case "held":
		return "waits for approval"
	case "on-hold":
		return "is on hold"
	case "busy", "late":
		return "still runs"
	case "":
		return "has not run yet"
	}
	return m.Outcome
}

// Clients are the client files that people look for, with what they are.
func (v view) Clients() []clientFile {
	var out []clientFile
	for _, name := range v.files {
		out = append(out, clientFile{Path: ConfigDir + "/" + name, What: what(name)})
	}
	return out
}

type clientFile struct{ Path, What string }

func what(name string) string {
	base := name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case base == "pip.conf":
		return "pip"
	case base == "uv.toml":
		return "uv"
	case strings.HasSuffix(base, ".sources"):
		return "apt, deb822"
	case strings.HasSuffix(base, ".list"):
		return "apt, one line each"
	case strings.HasSuffix(base, ".conf"):
		return "apt's settings"
	case strings.HasSuffix(base, ".gpg"), strings.HasSuffix(base, ".asc"), strings.HasSuffix(base, ".pgp"):
		return "keys"
	case strings.HasSuffix(base, ".sh"):
		return "installs them"
	}
	return ""
}

// ago and span say durations as people do, in one unit.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}

func brief(t time.Time) string { return t.UTC().Format("2 Jan, 15:04 UTC") }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// count groups digits with a narrow no-break space.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func bytesText(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}

// The paths of the marks, drawn in a box of 24: a tick, an exclamation mark, a cross.
var marks = map[Level]string{
	OK:        "M5.5 12.5l4.2 4.2 8.8-9.2",
	Attention: "M12 6v7.5M12 17.4v.2",
	Wrong:     "M7.2 7.2l9.6 9.6M16.8 7.2l-9.6 9.6",
	"":        "M8 12h8",
}

// icon draws a level. It is decoration: the word stands beside it.
func icon(l Level) template.HTML {
	class := string(l)
	if class == "" {
		class = "none"
	}
	return template.HTML(fmt.Sprintf(`<svg class="icon %s" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><circle cx="12" cy="12" r="11"/><path d="%s"/></svg>`, class, marks[l]))
}

// favicon tells in the row of a browser's tabs.
func favicon(l Level) template.URL {
	colour := map[Level]string{OK: "%231a7f4b", Attention: "%23b7791f", Wrong: "%23c5303d"}[l]
	return template.URL(fmt.Sprintf(`data:image/svg+xml,%%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%%3E%%3Ccircle cx='12' cy='12' r='12' fill='%s'/%%3E%%3Cpath d='%s' fill='none' stroke='white' stroke-width='3' stroke-linecap='round'/%%3E%%3C/svg%%3E`,
		colour, marks[l]))
}
