// Package console shows on a terminal how far the mirrors of a cycle are.
//
// On a terminal every mirror has one line that is redrawn in place, and a clock
// below them moves even when nothing is known. Anywhere else there are plain
// lines: one when a mirror enters a stage, and now and then one of progress.
//
// It will not query anything, keep a terminal in a special mode or hide the
// cursor: whoever is killed in the middle leaves a usable terminal behind, and
// what is printed next begins below the last line.
package console

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Mirror is what is known of one mirror at one moment.
type Mirror struct {
	Name        string
	Stage       string // what it does, or how it ended; "" if not known
	Objects     int64  // to be fetched, 0 if not known
	DoneObjects int64
	Bytes       int64 // to be fetched, 0 if not known
	DoneBytes   int64
	Ended       bool // Stage is its outcome
}

// Options say what w is. The zero value is a file that gets plain lines.
type Options struct {
	Terminal bool             // lines may be redrawn with escape sequences
	Color    bool             // on a terminal, colour outcomes and stages
	Width    int              // columns; 0 asks the terminal, which without an answer has 80
	Now      func() time.Time // the clock, time.Now if nil
}

// Display shows the progress of one cycle. It is for one goroutine. What cannot
// be written is lost: no cycle fails because nobody can watch it.
type Display struct {
	w       io.Writer
	o       Options
	start   time.Time
	frame   int
	rows    []*row
	drawn   []int // columns of the lines on the screen
	waiting bool  // the plain line that nothing is known yet was written
}

// New returns a display on w, whose clock starts now.
func New(w io.Writer, o Options) *Display {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Display{w: w, o: o, start: o.Now()}
}

// Update shows what is known now, about twice a second. nil means that nothing
// new is known; a mirror that is not named keeps what is known of it.
func (d *Display) Update(mirrors []Mirror) { d.show(mirrors, false) }

// Finish shows the end of the cycle. What is written to w next stands below it.
func (d *Display) Finish(mirrors []Mirror) { d.show(mirrors, true) }

func (d *Display) show(mirrors []Mirror, last bool) {
	now := d.o.Now()
	for _, m := range mirrors {
		d.row(m.Name).take(m)
	}
	for _, r := range d.rows {
		r.sample(now)
	}
	d.frame++
	if d.o.Terminal {
		d.redraw(now, last)
	} else {
		d.plain(now)
	}
}

func (d *Display) row(name string) *row {
	for _, r := range d.rows {
		if r.Name == name {
			return r
		}
	}
	d.rows = append(d.rows, &row{Mirror: Mirror{Name: name}})
	return d.rows[len(d.rows)-1]
}

// redraw goes up to the first line of the last frame and writes over it. Lines
// that a narrower window has wrapped take several rows on the way up.
func (d *Display) redraw(now time.Time, last bool) {
	width, height := d.size()
	if last {
		height = 0
	}
	s := Screen{Elapsed: now.Sub(d.start), Frame: d.frame, Width: width, Height: height, Color: d.o.Color, Finished: last}
	for _, r := range d.rows {
		s.Lines = append(s.Lines, Line{r.Mirror, r.rate(now)})
	}
	frame, widths := draw(s)
	up := 0
	for _, n := range d.drawn {
		up += max(1, (n+width-1)/width)
	}
	if up > 0 {
		frame = fmt.Sprintf("\x1b[%dA\r\x1b[J", up) + frame
	}
	d.drawn = widths
	io.WriteString(d.w, frame) // in one piece, so that it does not flicker
}

// size returns the columns and rows of the terminal; without an answer 80 and 24.
func (d *Display) size() (width, height int) {
	width, height = 80, 24
	if f, ok := d.w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 && ws.Row > 0 {
			width, height = int(ws.Col), int(ws.Row)
		}
	}
	if d.o.Width > 0 {
		width = d.o.Width
	}
	return width, height
}

// IsTerminal reports whether f is a terminal on which lines can be redrawn.
func IsTerminal(f *os.File) bool {
	if f == nil || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
