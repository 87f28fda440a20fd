package afs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/lab"
)

// TestApacheServesASite: Apache, as another user than root, gives out what its
// region's site holds, before and after a release, with the configuration that
// operators are given.
func TestApacheServesASite(t *testing.T) {
	t.Parallel()
	r := newRig(t, afslab.Options{})
	r.released(t, r.generation(t, "a"))
	get := r.apache(t)
	for path, want := range map[string][2]string{
		"/dists/Release":           {"200 release 1", "max-age=600"},
		"/pool/a":                  {"200 content of a", "max-age=600"},
		"/.mirror/generation.json": {"200", "no-store"},
		"/.mirror/id":              {"404", ""},
		"/pool/b":                  {"404", ""},
	} {
		status, cache, body := get(path)
		got := fmt.Sprint(status, " ", body)
		if !bytes.HasPrefix([]byte(got), []byte(want[0])) || (want[1] != "" && cache != want[1]) {
			t.Errorf("%s: %q, Cache-Control %q, want %q", path, got, cache, want)
		}
	}
	r.released(t, r.generation(t, "b"))
	until(t, "Apache serves what was released", func() bool {
		_, _, body := get("/dists/Release")
		return body == "release 2"
	})
	for path, want := range map[string]string{"/pool/b": "content of b", "/pool/a": "content of a"} { // the old one is retained
		if status, _, body := get(path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
}

// apache starts Apache in the first region, and returns how to ask it for a file of the rig's volume.
func (r *rig) apache(t *testing.T) func(path string) (status int, cache, body string) {
	t.Helper()
	web := webs[0]
	run := t.TempDir()
	must(t, os.Chmod(run, 0o755))
	r.cell.Bind(t, run)
	address := r.cell.Addr(web) + ":8080"
	conf := lab.ApacheConf(t, run, address, "/srv/mirror/dfw", filepath.Dir(r.volume.RO), "#EnableSendfile", "EnableSendfile", "#EnableMMAP", "EnableMMAP",
		"RewriteCond \"%{DOCUMENT_ROOT}/.mirrorcycle/id\" !-f", "", "#RewriteCond", "RewriteCond")
	cmd := r.cell.Command(context.Background(), web, "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is ended by a signal
	}()
	t.Cleanup(func() {
		_ = r.cell.Signal(cmd, syscall.SIGTERM)
		<-ended
		if log, _ := os.ReadFile(filepath.Join(run, "error.log")); t.Failed() {
			t.Logf("Apache: %s%s", said.String(), log)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return r.cell.Dial(ctx, web, address) }}}
	get := func(path string) (int, string, string) {
		resp, err := client.Get("http://" + address + "/" + filepath.Base(r.volume.RO) + path)
		if err != nil {
			return 0, "", err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, "", err.Error()
		}
		return resp.StatusCode, resp.Header.Get("Cache-Control"), string(body)
	}
	until(t, "Apache listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("Apache has ended: %s", said.String())
		default:
		}
		status, _, _ := get("/dists/Release")
		return status != 0
	})
	return get
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
