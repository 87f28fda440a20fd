// Command suites runs the project's test suites and prints what each came to.
//
// Usage: suites [NAME ...]. Without names every suite runs. With CI=true a
// skipped test is a failure, and is named.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// suite is one run of go test.
type suite struct {
	name string
	dir  string // where go test runs, "" for here
	args []string
	need string // a program without which the suite is skipped
	less string // a package that the patterns of args match and another suite runs
	cell bool   // its packages share an AFS cell, which ends with the suite
}

var all = []suite{
	{name: "fast", args: []string{"./activities/...", "./internal/...", "./mirrorspec/...", "./starter/...", "./worker/...", "./workflows/..."},
		less: "mirrorcycle/internal/afslab"},
	{name: "race", need: "gcc", args: []string{"-race", "./internal/tree", "./internal/fetch", "./internal/transfer", "./internal/apt", "./internal/pypi",
		"./internal/release/...", "./internal/serve", "./internal/journal", "./internal/demo"}},
	{name: "server", dir: "devserver", args: []string{"-trimpath", "./..."}},
	{name: "cycle", args: []string{"-count=1", "-timeout=20m", "./test/cycle"}},
	{name: "flips", args: []string{"-count=1", "-timeout=20m", "./test/flips"}},
	{name: "node", args: []string{"-count=1", "-timeout=20m", "./test/node"}},
	{name: "real", args: []string{"-count=1", "-timeout=20m", "./test/real"}},
	// One package at a time: each takes the power from file servers that all of them use.
	{name: "afs", cell: true, args: []string{"-count=1", "-timeout=20m", "-p=1", "./internal/afslab", "./test/afs", "./test/afscycle"}},
}

// count is what a suite came to.
type count struct {
	name                    string
	seconds                 float64
	passed, failed, skipped int
	skips                   []string
}

func main() { os.Exit(run(os.Args[1:])) }

func run(names []string) int {
	strict := os.Getenv("CI") == "true"
	var counts []count
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Printf("== %s\n", s.name)
		counts = append(counts, s.run())
	}
	if len(counts) == 0 {
		fmt.Fprintf(os.Stderr, "suites: no suite is called %s\n", strings.Join(names, " "))
		return 2
	}
	return report(counts, strict)
}

func report(counts []count, strict bool) int {
	fmt.Printf("\n%-10s %8s %7s %7s %7s\n", "suite", "seconds", "passed", "failed", "skipped")
	var sum count
	for _, c := range counts {
		fmt.Printf("%-10s %8.1f %7d %7d %7d\n", c.name, c.seconds, c.passed, c.failed, c.skipped)
		sum.passed += c.passed
		sum.failed += c.failed
		sum.skipped += c.skipped
		sum.skips = append(sum.skips, c.skips...)
	}
	for _, s := range sum.skips {
		fmt.Println("skipped:", s)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped)
	if sum.failed > 0 || (sum.passed == 0 && sum.skipped == 0) || (strict && sum.skipped > 0) {
		return 1
	}
	return 0
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

func (s suite) run() count {
	start := time.Now()
	c := count{name: s.name}
	if _, err := exec.LookPath(s.need); s.need != "" && err != nil {
		c.skipped, c.skips = 1, []string{"suite " + s.name + ": " + s.need + " is not installed"}
		return c
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, s.packages()...)...)
	cmd.Dir = s.dir
	cmd.Stderr = os.Stderr
	if s.cell && os.Geteuid() == 0 {
		end, err := shareCell(cmd)
		if err != nil {
			fmt.Fprintln(os.Stderr, "suites:", err)
			c.failed++
			return c
		}
		defer end()
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		c.failed++
		return c
	}
	c.read(out)
	if err := cmd.Wait(); err != nil && c.failed == 0 {
		c.failed++ // a package that does not build has no failing test
	}
	c.seconds = time.Since(start).Seconds()
	return c
}

// packages is args without the package that another suite runs.
func (s suite) packages() []string {
	if s.less == "" {
		return s.args
	}
	out, err := exec.Command("go", append([]string{"list"}, s.args...)...).Output()
	if err != nil {
		return s.args // go test says what is wrong
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool { return p == s.less })
}

// shareCell gives a run of go test a directory for the cell that its packages
// share; the first that needs the cell brings it up. A guard wipes it when end
// is called or this process ends, in whatever way.
func shareCell(cmd *exec.Cmd) (end func(), err error) {
	dir := os.Getenv("AFS_CELL_DIR")
	if dir != "" {
		return func() {}, nil // a cell that its owner looks after
	}
	if dir, err = os.MkdirTemp("", "mirrorcycle-afs"); err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "AFS_CELL_DIR="+dir)
	guard := exec.Command("deploy/afs-cell/cell", "guard")
	guard.Env = cmd.Env
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C must not end it first
	alive, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	return func() {
		alive.Close()
		if err := guard.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "suites: wipe the cell in", dir+":", err)
		}
	}, err
}

func (c *count) read(out io.Reader) {
	output := map[string][]string{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			c.end(e, output[key])
			delete(output, key)
		}
	}
}

func (c *count) end(e event, output []string) {
	switch {
	case e.Action == "fail":
		fmt.Printf("--- FAIL %s %s\n%s", e.Package, e.Test, strings.Join(output, ""))
		if e.Test != "" {
			c.failed++
		}
	case e.Test == "":
		if e.Action == "pass" {
			fmt.Printf("ok   %s\n", e.Package)
		}
	case e.Action == "skip":
		c.skipped++
		c.skips = append(c.skips, e.Package+" "+e.Test+": "+reason(output))
	default:
		c.passed++
	}
}

func reason(output []string) string {
	for _, line := range output {
		if _, why, ok := strings.Cut(line, ".go:"); ok {
			return strings.TrimSpace(why)
		}
	}
	return "no reason given"
}
