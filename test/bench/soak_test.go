package bench

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/workflows"
)

// soakCycles is how many cycles BenchmarkSoak runs, unless BENCH_SOAK says otherwise.
const soakCycles = 1000

// BenchmarkSoak runs many cycles, each with a change, and fails if the second half of
// them has more than 1.05 times of anything than the first: files and bytes in
// state, tree and region, goroutines, descriptors, resident memory. What is kept is
// kept for seconds, so that it is in balance from the first tenth on.
func BenchmarkSoak(b *testing.B) {
	cycles := soakCycles
	if s := os.Getenv("BENCH_SOAK"); s != "" {
		cycles, _ = strconv.Atoi(s)
	}
	const n, files = 20, 3
	c, err := newProjects(filepath.Join(b.TempDir(), "index"), n, files)
	if err != nil {
		b.Fatal(err)
	}
	h := lab.New(b, lab.Options{Regions: []string{"here"}, Keep: "2s", Back: "2s", Mirrors: fmt.Sprintf(
		"[[mirror]]\nname = \"pypi\"\nkind = \"pypi\"\nupstream = [%q]\nprojects = [\"*\"]\ngrace = \"2s\"\nguard = { share = \"100%%\", count = 1000 }\n", nginx(b, c.dir))})
	cycle(b, h, workflows.Done)
	var all []load
	for i := range cycles {
		// A version more, and then one less: what was dropped has to go.
		if err := c.write(i/2%n, files+1-i%2); err != nil {
			b.Fatal(err)
		}
		if err := c.root(); err != nil {
			b.Fatal(err)
		}
		cycle(b, h, workflows.Done)
		all = append(all, look(b, h.Dir))
	}
	all = all[len(all)/10:]
	compareHalves(b, all)
}

// load is what a run holds at one moment.
type load map[string]int64

func look(b *testing.B, dir string) load {
	b.Helper()
	l := load{"goroutines": int64(runtime.NumGoroutine())}
	for _, part := range []string{"trees", "state", "regions"} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(p string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // what is done after the cycle's end
			}
			if err != nil {
				return err
			}
			l["files in "+part]++
			if st, err := d.Info(); err == nil && d.Type().IsRegular() {
				l["bytes in "+part] += st.Size()
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	l["descriptors"] = int64(len(open))
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	l["kB of memory"], _ = strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
	return l
}

func compareHalves(b *testing.B, all []load) {
	b.Helper()
	mean := func(part []load, what string) (sum float64) {
		for _, l := range part {
			sum += float64(l[what]) / float64(len(part))
		}
		return sum
	}
	var names []string
	for what := range all[0] {
		names = append(names, what)
	}
	slices.Sort(names)
	for _, what := range names {
		first, second := mean(all[:len(all)/2], what), mean(all[len(all)/2:], what)
		b.Logf("%-18s first half %10.0f, second half %10.0f: %.3f", what, first, second, second/first)
		if second > 1.05*first {
			b.Errorf("%s grow: %.3f", what, second/first)
		}
	}
	b.Logf("last: %v", all[len(all)-1])
}
