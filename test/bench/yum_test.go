package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rpmrepo/rpmrepotest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/yum"
	"mirrorcycle/workflows"
)

// rpmCorpus is a repository of small rpms whose metadata createrepo_c makes.
type rpmCorpus struct {
	dir string // of nginx; the repository is below it in os/
	key *openpgp.Entity
	n   int
}

func (c *rpmCorpus) rpm(i, version int) rpmrepotest.Package {
	return rpmrepotest.Package{Name: fmt.Sprintf("package%06d", i), Version: fmt.Sprint(version), Content: fmt.Sprint("content of ", i, version)}
}

func (c *rpmCorpus) path(p rpmrepotest.Package) string {
	return filepath.Join("os/Packages", p.Name[len(p.Name)-2:], p.File())
}

// publish makes version of every step-th package, in place of the one before.
func (c *rpmCorpus) publish(tb testing.TB, step, version int) {
	tb.Helper()
	for i := 0; i < c.n; i += step {
		name := filepath.Join(c.dir, c.path(c.rpm(i, version)))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(name, c.rpm(i, version).Bytes(nil), 0o644); err != nil {
			tb.Fatal(err)
		}
		_ = os.Remove(filepath.Join(c.dir, c.path(c.rpm(i, version-1))))
	}
	repomd := filepath.Join(c.dir, "os/repodata/repomd.xml")
	out, err := exec.Command("createrepo_c", "-q", "--update", "--workers=2", filepath.Join(c.dir, "os")).CombinedOutput()
	if err != nil {
		tb.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	text, err := os.ReadFile(repomd)
	if err == nil {
		err = os.WriteFile(repomd+".asc", rpmrepotest.Repo{Key: c.key}.Sign(text), 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
	syscall.Sync()
}

// bare lists the packages for the bare downloader.
func (c *rpmCorpus) bare() *corpus {
	all := &corpus{}
	for i := range c.n {
		all.packages = append(all.packages, debrepo.Package{Filename: c.path(c.rpm(i, 1))})
	}
	return all
}

// reposync is dnf's own mirroring, as its manual page tells it. It returns the
// time, and the CPU time.
func reposync(b *testing.B, url, dir string) (took, cpu time.Duration) {
	b.Helper()
	conf := filepath.Join(dir, "dnf.conf")
	text := "[main]\nreposdir=/nonexistent\nmax_parallel_downloads=20\ncachedir=" + dir + "/cache\n[rpms]\nname=rpms\nbaseurl=" + url + "/os\nmetadata_expire=1\n"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), "dnf", "--config", conf, "--releasever=9", "-q", "reposync", "--refresh", "--download-metadata", "--delete", "--repoid=rpms", "-p", filepath.Join(dir, "out"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("reposync: %v\n%s", err, out.Bytes())
	}
	return time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// planOf times the engine's plan alone.
func planOf(b *testing.B, h *lab.House, url, keyring string) time.Duration {
	b.Helper()
	client, err := fetch.New(fetch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	t, err := tree.Open(tree.Config{Dir: h.Spec.TreeDir("rpms"), State: h.Spec.StateDir("rpms")})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	e := yum.New(yum.Config{Upstreams: []string{url}, Repos: []string{"os"}, Keyring: keyring}, client)
	start := time.Now()
	digest, _, err := e.Plan(context.Background(), t)
	if err != nil || digest != "" {
		b.Fatalf("plan %s, %v: want nothing new", digest, err)
	}
	return time.Since(start)
}

// BenchmarkYumCycle measures whole cycles through Temporal over small rpms,
// beside dnf reposync and a bare downloader. BENCH_RPMS gives another number
// than 2,000.
func BenchmarkYumCycle(b *testing.B) {
	for _, tool := range []string{"createrepo_c", "dnf"} {
		_, err := exec.LookPath(tool)
		lab.Need(b, tool, err == nil)
	}
	n := 2000
	if s := os.Getenv("BENCH_RPMS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	dir := b.TempDir()
	c := &rpmCorpus{dir: filepath.Join(dir, "archive"), key: debrepotest.NewKey("bench"), n: n}
	c.publish(b, 1, 1)
	url, keyring := nginx(b, c.dir), filepath.Join(dir, "keys.asc")
	if err := os.WriteFile(keyring, debrepotest.ArmoredKeys(c.key), 0o644); err != nil {
		b.Fatal(err)
	}
	h := lab.New(b, lab.Options{Regions: []string{"here"}, NoWork: true, Every: "1h", Keep: "1h", Mirrors: fmt.Sprintf(
		"[[mirror]]\nname = \"rpms\"\nkind = \"yum\"\nupstream = [%q]\nrepos = [\"os\"]\nkeyring = %q\n[limits]\ndownloads = 32\nper-host = 32\n", url, keyring)})
	memory := worker(b, h)
	pair := func(what string, want workflows.Outcome) {
		cpu := busy()
		ours := cycle(b, h, want)
		b.Logf("CPU of ours: %s", busy().since(cpu))
		theirs, used := reposync(b, url, filepath.Join(dir, "reposync"))
		report(b, n, "cycle, "+what, ours)
		report(b, n, "reposync, "+what, theirs)
		b.Logf("%s: reposync / ours = %.2f; CPU of reposync %.2f s", what, theirs.Seconds()/ours.Seconds(), used.Seconds())
	}
	for b.Loop() {
		pair("first", workflows.Done)
		report(b, n, "bare downloader, 32 connections", bare(b, url, filepath.Join(dir, "bare"), c.bare()))
		for range 3 {
			pair("nothing new", workflows.Unchanged)
		}
		report(b, n, "plan with nothing new", planOf(b, h, url, keyring))
		c.publish(b, 100, 2)
		pair("1 % changed", workflows.Done)
		b.Logf("peak memory of the worker: %d MB", memory()>>20)
	}
}
