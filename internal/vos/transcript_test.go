package vos_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// run is one command of a transcript that test/afsrecord recorded.
type run struct {
	argv           string
	exit           int
	stdout, stderr []byte
}

const recorded = "../release/afs/testdata/vos"

func cases(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob(recorded + "/*.txtar")
	if err != nil || len(files) < 10 {
		tb.Fatal("too few transcripts:", files, err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".txtar")
	}
	return files
}

func transcript(tb testing.TB, name string) []run {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(recorded, name+".txtar"))
	if err != nil {
		tb.Fatal(err)
	}
	var runs []run
	for _, f := range txtar.Parse(data).Files {
		n, what, _ := strings.Cut(f.Name, "/")
		i, err := strconv.Atoi(n)
		if err != nil || i < len(runs) || i > len(runs)+1 {
			tb.Fatalf("%s: %s", name, f.Name)
		}
		if i > len(runs) {
			runs = append(runs, run{})
		}
		r := &runs[i-1]
		switch what {
		case "argv":
			r.argv = strings.TrimSpace(string(f.Data))
		case "exit":
			r.exit, _ = strconv.Atoi(strings.TrimSpace(string(f.Data)))
		case "stdout":
			r.stdout = f.Data
		case "stderr":
			r.stderr = f.Data
		}
	}
	return runs
}

// pick returns the nth (from 0) run of a case whose command line contains part.
func pick(tb testing.TB, name, part string, n int) run {
	tb.Helper()
	for _, r := range transcript(tb, name) {
		if !strings.Contains(r.argv, part) {
			continue
		}
		if n--; n < 0 {
			return r
		}
	}
	tb.Fatalf("%s has too few runs of %q", name, part)
	return run{}
}
