package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/afs"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// volume is a mirror on a volume of its own.
type volume struct {
	b       *testing.B
	cell    *afslab.Cell
	options afs.Options
	cfg     tree.Config
	content backendtest.Content
	next    int64
}

func newVolume(b *testing.B, o afslab.Options) *volume {
	b.Helper()
	c := afslab.Up(b)
	v := c.Volume(b, o)
	m := &volume{b: b, cell: c, content: backendtest.Content{}, next: 1,
		cfg: tree.Config{Dir: c.Path(afslab.Writer, v.RW), State: filepath.Join(b.TempDir(), v.Name), Holder: "bench"}}
	id, err := tree.Setup(m.cfg, backendtest.Mirror)
	if err != nil {
		b.Fatal(err)
	}
	// Without the cell's own script, which takes some 30 ms for a command.
	enter := []string{"nsenter", "-t", fmt.Sprint(c.Init(afslab.DB)), "-m", "-u", "-i", "-n", "-p", "--root", "--wdns=/", "--"}
	m.options = afs.Options{Cell: afs.Cell{Name: afslab.Name, Localauth: true, Enter: enter}, Volume: v.Name, Mirror: backendtest.Mirror, Tree: id.Tree,
		State: m.cfg.State, Policy: backend.Policy{Grace: time.Hour, Every: time.Hour}, Holder: "bench",
		Listen: func() (net.PacketConn, error) {
			return c.ListenPacket(context.Background(), afslab.Writer, "0.0.0.0:0")
		}}
	for i, s := range []string{afslab.FS1, afslab.FS2, afslab.FS3} {
		m.options.Regions = append(m.options.Regions, afs.Region{Name: fmt.Sprint("region", i+1), Server: c.Addr(s), Partition: "a"})
	}
	return m
}

// change replaces n packages by newer ones and commits.
func (m *volume) change(n int) {
	m.b.Helper()
	for _, p := range slices.Sorted(func(yield func(string) bool) {
		for p := range m.content {
			if strings.HasPrefix(p, "pool/") && !yield(p) {
				return
			}
		}
	})[:min(n, max(0, len(m.content)-2))] {
		delete(m.content, p)
	}
	for i := range n {
		name := fmt.Sprintf("pool/%02d/p%05d_%d.deb", i%100, i, m.next)
		m.content[name] = strings.Repeat(name+"\n", 2000/len(name))
	}
	m.content["dists/Release"], m.content["dists/Index"] = fmt.Sprint("release ", m.next), fmt.Sprint("index ", m.next)
	if err := backendtest.Commit(m.cfg, m.content, m.next); err != nil {
		m.b.Fatal(err)
	}
	m.next++
}

// publish releases what was committed and returns how long it took, and how long of that vos release did.
func (m *volume) publish() (all, vos time.Duration) {
	src, done, err := release.From(release.Origin{Storage: mirrorspec.Storage{Root: filepath.Dir(m.cfg.Dir), State: filepath.Dir(m.cfg.State)}, Mirror: filepath.Base(m.cfg.Dir)})
	if err != nil {
		m.b.Error(err)
		return 0, 0
	}
	defer done()
	start := time.Now()
	out, err := afs.New(m.options).Publish(context.Background(), src)
	all = time.Since(start)
	if err != nil {
		m.b.Error(err)
	}
	for _, o := range out {
		if o.Serves != m.next-1 || o.Error != "" {
			m.b.Errorf("%+v", o)
		}
	}
	runs, _ := filepath.Glob(filepath.Join(m.cfg.State, "release", "run.*"))
	for _, r := range runs {
		var j struct{ Started, Ended time.Time }
		data, err := os.ReadFile(r)
		if err == nil {
			err = json.Unmarshal(data, &j)
		}
		if err != nil {
			m.b.Error(err)
		}
		if j.Started.After(start.Add(-time.Millisecond)) {
			vos += j.Ended.Sub(j.Started)
		}
	}
	return all, vos
}

// BenchmarkAFSRelease measures the release of a volume of 10,000 packages to
// three sites, from the commit's end until all sites are seen to hold it.
func BenchmarkAFSRelease(b *testing.B) {
	b.Cleanup(afslab.Down) // after the volumes
	const n = 10000
	for b.Loop() {
		m := newVolume(b, afslab.Options{})
		m.change(n)
		all, vos := m.publish()
		b.Logf("first release of %d files: %.2f s, of that vos %.2f s", n, all.Seconds(), vos.Seconds())
		for _, changed := range []int{1, 1, 1, n / 100, n / 100, n / 100, n} {
			m.change(changed)
			all, vos := m.publish()
			b.Logf("%d of %d files changed: %.2f s, of that vos %.2f s, ours %.2f s (%.2f of vos)", changed, n, all.Seconds(), vos.Seconds(),
				(all - vos).Seconds(), (all-vos).Seconds()/vos.Seconds())
		}
		all, vos = m.publish()
		b.Logf("nothing changed: %.3f s, of that vos %.3f s", all.Seconds(), vos.Seconds())
		for name, o := range map[string]afslab.Options{"read-write volume beside a site": {RWBeside: true}, "read-write volume elsewhere": {}} {
			parallel(b, name, o)
		}
	}
}

// parallel releases four volumes one after another, then all at once.
func parallel(b *testing.B, name string, o afslab.Options) {
	b.Helper()
	var all []*volume
	for range 4 {
		m := newVolume(b, o)
		m.change(200)
		m.publish()
		all = append(all, m)
	}
	change := func() {
		for _, m := range all {
			m.change(200)
		}
	}
	change()
	start := time.Now()
	for _, m := range all {
		m.publish()
	}
	serial := time.Since(start)
	change()
	var wg sync.WaitGroup
	start = time.Now()
	for _, m := range all {
		wg.Go(func() { m.publish() })
	}
	wg.Wait()
	together := time.Since(start)
	b.Logf("%s: 4 volumes of 200 changed files one after another %.2f s, in parallel %.2f s, ratio %.2f", name, serial.Seconds(), together.Seconds(),
		together.Seconds()/serial.Seconds())
}
