package console_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/console"
	"mirrorcycle/internal/need"
)

// pty returns both ends of a pseudo terminal.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	need.That(t, err == nil, fmt.Sprint("no pseudo terminal: ", err))
	t.Cleanup(func() { master.Close() })
	err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	need.That(t, err == nil, fmt.Sprint("no pseudo terminal: ", err))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	need.That(t, err == nil, fmt.Sprint("no pseudo terminal: ", err))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	need.That(t, err == nil, fmt.Sprint("no pseudo terminal: ", err))
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestResize makes the window narrower: the lines of the last frame were wrapped,
// and all their rows are gone over.
func TestResize(t *testing.T) {
	master, slave := pty(t)
	resize := func(columns uint16) {
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
	}
	var frame string
	read := func() string {
		buf := make([]byte, 4096)
		n, err := master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	d := console.New(slave, console.Options{Terminal: true})
	m := console.Mirror{Name: "ubuntu", Stage: "fetch", Objects: 300_000, Bytes: 5e9}
	resize(100)
	d.Update([]console.Mirror{m})
	if frame = read(); len(strings.Split(frame, "\r\n")[0]) < 60 {
		t.Fatalf("does not use the width: %q", frame)
	}
	resize(40)
	d.Update([]console.Mirror{m})
	frame = read()
	// The first line took between 60 and 99 columns, so 2 or 3 rows of 40; the summary 1.
	if up := regexp.MustCompile(`^\x1b\[([34])A`).FindString(frame); up == "" {
		t.Errorf("after the window became narrower: %q", frame)
	}
}
