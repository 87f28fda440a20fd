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
	"sync"
	"time"
)

// suite is one or more runs of go test beside each other.
type suite struct {
	name string
	dir  string // where go test runs, "" for here
	runs [][]string
	need string // a program without which the suite is skipped
	less string // a package that the patterns of runs match and another suite runs
	lane int    // suites of one lane run one after another, and lanes beside each other
	long bool   // it runs only if it is named
}

// The lanes. What waits more than it works stands in the second. Two that work, on
// two cores, only make each other's timeouts run out.
const (
	worksLane = iota
	waitsLane
	lanes
)

// Tests of test/afs that take the power from servers that all volumes of a
// cell share, so they run one after another; most of their time is spent
// waiting for timeouts of the network.
const (
	siteOff = "SiteServerOff"
	someOff = "OnlyALaggingSiteIsReachable|ReadWriteServerOff|ReadWriteServerOffInMidRelease"
	moreOff = "CableCutInMidTransfer|DatabaseServerOff"
	killed  = "VosKilledAnywhere" // the longest of those that could run beside others
)

// Tests of test/wheelcycle: the longest, in which workers are killed, and those of
// what the field has, which take too long for every day.
const (
	killing = "^TestRealSources$"
	field   = "^TestField"
)

var all = []suite{
	{name: "fast", runs: [][]string{{"./activities/...", "./deploy/sbom", "./internal/...", "./mirrorspec/...", "./starter/...", "./worker/...", "./workflows/..."}},
		less: "mirrorcycle/internal/afslab"},
	{name: "race", need: "gcc", runs: [][]string{{"-race", "./internal/tree", "./internal/fetch", "./internal/transfer", "./internal/apt", "./internal/pypi",
		"./internal/release/...", "./internal/wheels", "./internal/serve", "./internal/journal", "./internal/demo", "./internal/sandbox"}}},
	{name: "server", dir: "devserver", runs: [][]string{{"-trimpath", "./..."}}},
	{name: "cycle", runs: [][]string{{"-count=1", "-timeout=20m", "./test/cycle"}, {"-count=1", "-timeout=20m", "./test/telemetry"}, {"-count=1", "-timeout=20m", "./test/security"}, {"-count=1", "-timeout=20m", "./test/docs"}, {"-count=1", "-timeout=20m", "./test/scale"}}},
	{name: "flips", runs: [][]string{{"-count=1", "-timeout=30m", "./test/flips"}}},
	{name: "node", runs: [][]string{{"-count=1", "-timeout=20m", "./test/node"}}},
	{name: "wheels", runs: [][]string{{"-count=1", "-timeout=30m", "./test/wheelbuild"}, {"-count=1", "-timeout=20m", "./test/wheels"},
		{"-count=1", "-timeout=30m", "-run", killing, "./test/wheelcycle"}, {"-count=1", "-timeout=30m", "-skip", killing + "|" + field, "./test/wheelcycle"}}},
	{name: "wheels-field", long: true, runs: [][]string{{"-count=1", "-timeout=60m", "-v", "-run", field, "./test/wheelcycle"}}},
	// Each run has a cell of its own: one that lacks a server disturbs no other.
	{name: "afs", lane: waitsLane, runs: [][]string{
		{"-count=1", "-timeout=20m", "./test/afscycle"},
		{"-count=1", "-timeout=20m", "-run", "^Test(" + siteOff + ")$", "./test/afs"},
		{"-count=1", "-timeout=20m", "-run", "^Test(" + someOff + ")$", "./test/afs"},
		{"-count=1", "-timeout=20m", "-run", "^Test(" + moreOff + ")$", "./test/afs"},
		{"-count=1", "-timeout=20m", "-run", "^Test(" + killed + ")$", "./test/afs"},
		{"-count=1", "-timeout=20m", "-p=1", "-skip", "^Test(" + siteOff + "|" + someOff + "|" + moreOff + "|" + killed + ")$", "./internal/afslab", "./test/afs"},
	}},
	{name: "site", lane: waitsLane, runs: [][]string{{"-count=1", "-timeout=10m", "./test/site"}}},
	{name: "real", lane: waitsLane, runs: [][]string{{"-count=1", "-timeout=20m", "./test/real", "./test/archives", "./test/rpms"}}},
	{name: "deploy", lane: waitsLane, runs: [][]string{{"-count=1", "-timeout=20m", "./test/deploy"}}},
	{name: "tutorial", lane: waitsLane, runs: [][]string{{"-count=1", "-timeout=20m", "./test/tutorial"}}},
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
	var wanted []suite
	for _, s := range all {
		if len(names) == 0 && !s.long || slices.Contains(names, s.name) {
			wanted = append(wanted, s)
		}
	}
	counts := make([]count, len(wanted))
	var beside sync.WaitGroup
	for lane := range lanes {
		beside.Go(func() {
			for i, s := range wanted {
				if s.lane == lane {
					fmt.Printf("== %s\n", s.name)
					counts[i] = s.run()
				}
			}
		})
	}
	beside.Wait()
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
		fmt.Printf("%-12s %8.1f %7d %7d %7d\n", c.name, c.seconds, c.passed, c.failed, c.skipped)
		sum.add(c)
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
	Elapsed                       float64 // seconds
}

// slow is from how many seconds on a test is named: the longest ones say how
// long a suite takes at least.
const slow = 60

func (s suite) run() count {
	start := time.Now()
	sum := count{name: s.name}
	if _, err := exec.LookPath(s.need); s.need != "" && err != nil {
		sum.skipped, sum.skips = 1, []string{"suite " + s.name + ": " + s.need + " is not installed"}
		return sum
	}
	each := make([]count, len(s.runs))
	var wg sync.WaitGroup
	for i, args := range s.runs {
		wg.Go(func() { each[i].run(s.dir, s.packages(args)) })
	}
	wg.Wait()
	for _, c := range each {
		sum.add(c)
	}
	sum.seconds = time.Since(start).Seconds()
	return sum
}

func (c *count) run(dir string, args []string) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		c.failed++
		return
	}
	c.read(out)
	if err := cmd.Wait(); err != nil && c.failed == 0 {
		c.failed++ // a package that does not build has no failing test
	}
}

// add counts what d counted, too.
func (c *count) add(d count) {
	c.passed += d.passed
	c.failed += d.failed
	c.skipped += d.skipped
	c.skips = append(c.skips, d.skips...)
}

// packages is args without the package that another suite runs.
func (s suite) packages(args []string) []string {
	if s.less == "" {
		return args
	}
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		return args // go test says what is wrong
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool { return p == s.less })
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
			fmt.Printf("ok   %s %.1f s\n", e.Package, e.Elapsed)
		}
	case e.Action == "skip":
		c.skipped++
		c.skips = append(c.skips, e.Package+" "+e.Test+": "+reason(output))
	default:
		c.passed++
		if e.Elapsed >= slow {
			fmt.Printf("     %s %.1f s\n", e.Test, e.Elapsed)
		}
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
