package console_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/console"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update accepts):\n%s", file, d)
	}
}

type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.t }

// screen is as much of a terminal as a display uses.
type screen struct {
	lines []string
	row   int
}

var escape = regexp.MustCompile(`^\x1b\[(\d*)([A-Za-z])`)

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		if m := escape.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch m[2] {
			case "A":
				s.row = max(s.row-n, 0)
			case "J":
				s.lines = s.lines[:min(s.row, len(s.lines))]
			case "m":
			default:
				return 0, fmt.Errorf("unknown escape %q", m[0])
			}
			text = text[len(m[0]):]
			continue
		}
		c, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		switch c {
		case '\n':
			s.row++
		case '\r':
		default:
			s.lines[s.row] += string(c)
		}
	}
	return len(p), nil
}

func (s *screen) String() string { return strings.Join(s.lines, "\n") + "\n" }

// step is what is known some time after the start.
type step struct {
	at      time.Duration
	mirrors []console.Mirror
	finish  bool
}

func small() []step {
	m := func(stage string, done int64) console.Mirror {
		return console.Mirror{Name: "demo", Stage: stage, Objects: 3, DoneObjects: done, Bytes: 4500, DoneBytes: done * 1500}
	}
	ended := m("done", 3)
	ended.Ended = true
	return []step{
		{0, nil, false},
		{time.Second, []console.Mirror{{Name: "demo", Stage: "starting"}}, false},
		{2 * time.Second, []console.Mirror{{Name: "demo", Stage: "plan"}}, false},
		{3 * time.Second, []console.Mirror{m("fetch", 0)}, false},
		{4 * time.Second, []console.Mirror{m("fetch", 2)}, false},
		{4500 * time.Millisecond, nil, false},
		{5 * time.Second, []console.Mirror{m("commit", 3)}, false},
		{6 * time.Second, []console.Mirror{ended}, true},
	}
}

func large() []step {
	m := func(stage string, done int64) console.Mirror {
		return console.Mirror{Name: "ubuntu", Stage: stage, Objects: 300_000, DoneObjects: done, Bytes: 640e9, DoneBytes: done * 640e9 / 300_000}
	}
	held := console.Mirror{Name: "a-mirror-with-a-long-name", Stage: "held", Ended: true}
	failed := console.Mirror{Name: "wheels", Stage: "failed", Ended: true}
	both := func(at time.Duration, u console.Mirror) step {
		return step{at, []console.Mirror{u, held, failed}, false}
	}
	steps := []step{{0, nil, false}, both(10*time.Second, console.Mirror{Name: "ubuntu", Stage: "plan"})}
	for s := range int64(20) {
		steps = append(steps, both(time.Duration(60+s)*time.Second, m("fetch", s*40)))
	}
	steps = append(steps,
		both(80*time.Second, m("fetch", 100)), // a retry begins anew
		both(4000*time.Second, m("fetch", 150_000)),
		both(4001*time.Second, m("fetch", 150_100)),
		both(7000*time.Second, m("verify", 299_999)))
	last := m("done", 300_000)
	last.Ended = true
	return append(steps, step{7200 * time.Second, []console.Mirror{last}, true})
}

func run(steps []step, d *console.Display, c *clock, after func(step)) {
	start := c.t
	for _, s := range steps {
		c.t = start.Add(s.at)
		if s.finish {
			d.Finish(s.mirrors)
		} else {
			d.Update(s.mirrors)
		}
		after(s)
	}
}

func TestScreens(t *testing.T) {
	for name, steps := range map[string][]step{"small": small(), "large": large()} {
		for _, width := range []int{80, 40} {
			t.Run(fmt.Sprintf("%s at %d", name, width), func(t *testing.T) {
				c, s := newClock(), &screen{}
				d := console.New(s, console.Options{Terminal: true, Width: width, Now: c.now})
				var all strings.Builder
				run(steps, d, c, func(st step) {
					fmt.Fprintf(&all, "--- after %s\n%s", st.at, s)
					for _, line := range s.lines {
						if n := utf8.RuneCountInString(line); n >= width {
							t.Errorf("line of %d columns: %q", n, line)
						}
					}
				})
				golden(t, fmt.Sprintf("%s-%d", name, width), all.String())
			})
		}
	}
}

func TestPlain(t *testing.T) {
	for name, steps := range map[string][]step{"small": small(), "large": large()} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			var b bytes.Buffer
			run(steps, console.New(&b, console.Options{Now: c.now}), c, func(step) {})
			golden(t, name+"-plain", b.String())
		})
	}
}

func TestColor(t *testing.T) {
	s := console.Screen{Width: 60, Color: true, Lines: []console.Line{
		{Mirror: console.Mirror{Name: "a", Stage: "fetch", Objects: 2, DoneObjects: 1}},
		{Mirror: console.Mirror{Name: "b", Stage: "done", Ended: true}},
		{Mirror: console.Mirror{Name: "c", Stage: "failed", Ended: true}},
		{Mirror: console.Mirror{Name: "d", Stage: "held", Ended: true}},
	}}
	colored := console.Render(s)
	golden(t, "color", strings.ReplaceAll(colored, "\x1b", "^"))
	s.Color = false
	if d := cmp.Diff(console.Render(s), regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(colored, "")); d != "" {
		t.Errorf("colour changes the text:\n%s", d)
	}
}

func TestFirstUpdateShowsSomething(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var b bytes.Buffer
		console.New(&b, console.Options{Terminal: terminal}).Update(nil)
		if !strings.Contains(b.String(), "waiting for a worker") {
			t.Errorf("terminal %v: %q", terminal, b.String())
		}
	}
}

func TestEveryUpdateChangesTheScreen(t *testing.T) {
	c, s := newClock(), &screen{}
	d := console.New(s, console.Options{Terminal: true, Now: c.now})
	last := ""
	for range 20 {
		d.Update(nil)
		if s.String() == last {
			t.Fatalf("nothing moved: %q", last)
		}
		last = s.String()
		c.t = c.t.Add(500 * time.Millisecond)
	}
}

func TestNeverBackwards(t *testing.T) {
	fetching := func(total, done int64) console.Mirror {
		return console.Mirror{Name: "m", Stage: "fetch", Objects: total, DoneObjects: done}
	}
	tests := []struct {
		name string
		then console.Mirror
		want string
	}{
		{"a retry", fetching(100, 10), "60/100"},
		{"progress", fetching(100, 61), "61/100"},
		{"a total that is not told", console.Mirror{Name: "m", Stage: "fetch"}, "60/100"},
		{"another total", fetching(90, 10), "10/90"},
		{"more than everything", fetching(100, 120), "100/100"},
		{"an unanswered question", console.Mirror{Name: "m", Stage: "starting"}, "fetch"},
		{"another mirror", console.Mirror{Name: "n"}, "60/100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &screen{}
			d := console.New(s, console.Options{Terminal: true})
			d.Update([]console.Mirror{fetching(100, 60)})
			d.Update([]console.Mirror{tt.then})
			if !strings.Contains(s.String(), tt.want) {
				t.Errorf("no %q in\n%s", tt.want, s)
			}
		})
	}
}

// TestStallShowsInTheRate lets time pass without news.
func TestStallShowsInTheRate(t *testing.T) {
	c, s := newClock(), &screen{}
	d := console.New(s, console.Options{Terminal: true, Now: c.now})
	m := console.Mirror{Name: "m", Stage: "fetch", Objects: 10, Bytes: 1e9}
	d.Update([]console.Mirror{m})
	c.t = c.t.Add(2 * time.Second)
	m.DoneBytes = 100e6
	d.Update([]console.Mirror{m})
	if !strings.Contains(s.String(), "50.0 MB/s") || !strings.Contains(s.String(), "0:18") {
		t.Errorf("running:\n%s", s)
	}
	for range 40 {
		c.t = c.t.Add(500 * time.Millisecond)
		d.Update(nil)
	}
	if !strings.Contains(s.String(), " 0 B/s") {
		t.Errorf("stalled:\n%s", s)
	}
}

func TestManyMirrorsFitTheScreen(t *testing.T) {
	s := &screen{}
	d := console.New(s, console.Options{Terminal: true, Width: 80})
	var mirrors []console.Mirror
	for i := range 40 {
		mirrors = append(mirrors, console.Mirror{Name: fmt.Sprintf("m%02d", i), Stage: "done", Ended: i < 35})
	}
	d.Update(mirrors)
	d.Update(mirrors)
	if len(s.lines) > 23 || !strings.Contains(s.String(), "m39") || !strings.Contains(s.String(), "and 19 more") {
		t.Errorf("%d lines:\n%s", len(s.lines), s)
	}
	d.Finish(mirrors)
	if len(s.lines) != 41 || strings.Contains(s.String(), "more") {
		t.Errorf("at the end:\n%s", s)
	}
}

// TestForeignTextCannotSteer gives a name that would clear the screen.
func TestForeignTextCannotSteer(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var b bytes.Buffer
		console.New(&b, console.Options{Terminal: terminal}).Update([]console.Mirror{{Name: "a\x1b[2Jb\n\u009b2J", Stage: "x\r"}})
		if strings.ContainsAny(b.String(), "\x1b\r\u009b") || strings.Count(b.String(), "\n") > 2 {
			t.Errorf("terminal %v: %q", terminal, b.String())
		}
	}
}

func TestTinyWidths(t *testing.T) {
	lines := []console.Line{{Mirror: console.Mirror{Name: "mirror", Stage: "fetch", Objects: 1e15, DoneObjects: 5, Bytes: 1e18, DoneBytes: 7}, Rate: console.Rate{Bytes: 1e-3}}}
	for width := range 200 {
		for line := range strings.Lines(console.Render(console.Screen{Lines: lines, Width: width})) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n >= max(width, 2) {
				t.Errorf("width %d: %q", width, line)
			}
		}
	}
}

func TestIsTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if console.IsTerminal(f) || console.IsTerminal(nil) {
		t.Error("a file is taken for a terminal")
	}
	if pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err == nil {
		defer pty.Close()
		t.Setenv("TERM", "xterm")
		if !console.IsTerminal(pty) {
			t.Error("a terminal is not seen")
		}
		t.Setenv("TERM", "dumb")
		if console.IsTerminal(pty) {
			t.Error("lines of a dumb terminal cannot be redrawn")
		}
	}
}
