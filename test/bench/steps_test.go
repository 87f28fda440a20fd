package bench

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/simpleindex"
)

var stepLine = regexp.MustCompile(`(?m)^\[([0-9.]+) s, ([0-9.]+) s of CPU: (.*)\]$`)

// BenchmarkWheelSteps builds the same sources one after another, without Temporal,
// and tells in which step of a build the time goes: as builds begin in made
// environments, and as pip does it all.
func BenchmarkWheelSteps(b *testing.B) {
	m := newMill(b)
	index, box := rootlab.Index(b, m.set), rootlab.Sandbox(b)
	for b.Loop() {
		for _, with := range []*build.Environments{{}, nil} {
			var s steps
			for _, pin := range m.pins {
				s.build(b, build.Request{Sandbox: box, Root: m.root, Platform: rootlab.Platforms[rootlab.Debian12], Index: index, Environments: with, IndexState: "1"}, m.set, pin)
			}
			b.Logf("%d builds, one after another, environments made beforehand: %v%s", len(m.pins), with != nil, s.table())
		}
	}
}

// steps are seconds by step, in the order of their first.
type steps struct {
	names     []string
	wall, cpu map[string]float64
}

func (s *steps) add(name string, wall, cpu float64) {
	if s.wall == nil {
		s.wall, s.cpu = map[string]float64{}, map[string]float64{}
	}
	if _, ok := s.wall[name]; !ok {
		s.names = append(s.names, name)
	}
	s.wall[name] += wall
	s.cpu[name] += cpu
}

func (s *steps) build(b *testing.B, r build.Request, set, pin string) {
	b.Helper()
	r.Name, r.Version, _ = strings.Cut(pin, "==")
	r.SDist, r.SHA256 = rootlab.Find(b, set, simpleindex.Normalize(r.Name))
	r.Dir = b.TempDir()
	start := time.Now()
	res, err := build.Build(b.Context(), r)
	whole := time.Since(start).Seconds()
	if err != nil || res.Class != "" {
		b.Fatal(res, err)
	}
	log, err := os.ReadFile(filepath.Join(r.Dir, res.Log))
	if err != nil {
		b.Fatal(err)
	}
	inside := 0.0
	for _, m := range stepLine.FindAllStringSubmatch(string(log), -1) {
		wall, _ := strconv.ParseFloat(m[1], 64)
		cpu, _ := strconv.ParseFloat(m[2], 64)
		s.add(m[3], wall, cpu)
		inside += wall
	}
	s.add("sandbox, start of Python, sending the wheel; or pip", res.Time.Seconds()-inside, 0)
	s.add("before and after: environments, digests, proof, audit, log", whole-res.Time.Seconds(), 0)
	s.add("all", whole, 0)
}

func (s *steps) table() string {
	var b strings.Builder
	for _, name := range s.names {
		b.WriteString("\n" + strconv.FormatFloat(s.wall[name], 'f', 2, 64) + " s, CPU " + strconv.FormatFloat(s.cpu[name], 'f', 2, 64) + " s: " + name)
	}
	return b.String()
}
