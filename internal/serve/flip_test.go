package serve_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestFlipsWhileReading flips a mirror 200 times under readers. Every response
// must be whole, of one generation, and never a refusal.
func TestFlipsWhileReading(t *testing.T) {
	const flips, lines = 200, 5000
	dir := t.TempDir()
	flip := func(n int) {
		view := filepath.Join(".mirrorcycle/m/views", strconv.Itoa(n))
		// Files differ in length, so that a size of one with bytes of another shows.
		content := strings.Repeat(fmt.Sprintf("%d\n", n), lines+n)
		write(t, dir, map[string]string{view + "/simple/index.html": content, view + "/simple/index.v1_json": content, view + "/InRelease": content})
		link := filepath.Join(dir, "m.new")
		if err := os.Symlink(view, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "m")); err != nil {
			t.Fatal(err)
		}
		// At once, so that readers who know the old view only meet the gap.
		if err := os.RemoveAll(filepath.Join(dir, ".mirrorcycle/m/views", strconv.Itoa(n-1))); err != nil {
			t.Fatal(err)
		}
	}
	flip(1)
	server := httptest.NewServer(handler(t, dir))
	defer server.Close()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := readWhole(server.URL+[]string{"/m/simple/", "/m/InRelease"}[(i+round)%2], lines); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := 2; n <= flips; n++ {
		flip(n)
	}
	close(stop)
	readers.Wait()
	if err := readWhole(server.URL+"/m/InRelease", lines); err != nil {
		t.Error(err)
	}
}

func readWhole(url string, lines int) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		return fmt.Errorf("%s: %s: %w", url, res.Status, err)
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	n, err := strconv.Atoi(string(first))
	if err != nil {
		return err
	}
	if want := strings.Repeat(string(first)+"\n", lines+n); string(data) != want {
		return fmt.Errorf("%s: %d bytes, want %d of generation %d", url, len(data), len(want), n)
	}
	return nil
}
