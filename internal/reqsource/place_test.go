package reqsource_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/requirements"
)

var platforms = map[string]requirements.Environment{"p": requirements.Linux("3.11", "")}

func bring(t *testing.T, cfg reqsource.Config) (reqsource.Outcome, error) {
	t.Helper()
	s, err := reqsource.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s.Bring(t.Context())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := reqsource.Config{File: dir + "/global", Constraints: dir + "/upper", State: t.TempDir(), Environments: platforms}
	if _, err := bring(t, cfg); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), dir+"/global") {
		t.Error("no file:", err)
	}
	write(t, cfg.File, global)
	write(t, cfg.Constraints, upper)
	out, err := bring(t, cfg)
	if err != nil || out.Pins != 2 || !out.Changed {
		t.Error(out, err)
	}
	if err := os.Remove(cfg.Constraints); err != nil {
		t.Fatal(err)
	}
	write(t, cfg.File, "alpha\n")
	if out, err = bring(t, cfg); err != nil || out.Pins != 2 || out.Changed || len(out.Stale) != 1 {
		t.Error("half of it is gone:", out, err)
	}
	cfg.Constraints = "" // the requirements pin themselves
	write(t, cfg.File, "alpha==1.0\nbeta>=2\n")
	if out, err = bring(t, cfg); err != nil || out.Pins != 1 || !strings.Contains(strings.Join(out.Notes, " "), "beta is pinned by no constraint") {
		t.Error("without constraints:", out, err)
	}
}

func TestURLsAreAskedConditionally(t *testing.T) {
	var whole, unchanged, down atomic.Int32
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() > 0 {
			w.WriteHeader(503)
			return
		}
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			unchanged.Add(1)
			w.WriteHeader(304)
			return
		}
		whole.Add(1)
		_, _ = w.Write([]byte(upper))
	}))
	defer h.Close()
	client, err := fetch.New(fetch.Options{Attempts: 1, Wait: func(context.Context, time.Duration) error { return nil }})
	if err == nil {
		err = client.Own(h.URL)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := reqsource.Config{URL: h.URL + "/g", Constraints: h.URL + "/u", State: t.TempDir(), Environments: platforms, Client: client}
	out, err := bring(t, cfg)
	if err != nil || out.Pins != 3 || whole.Load() != 2 {
		t.Fatal(out, err)
	}
	if again, err := bring(t, cfg); err != nil || again.Changed || whole.Load() != 2 || unchanged.Load() != 2 {
		t.Error("a quiet cycle:", again, err)
	}
	down.Store(1)
	if again, err := bring(t, cfg); err != nil || again.Digest != out.Digest || len(again.Stale) != 1 || !strings.Contains(again.Stale[0], "unavailable") {
		t.Error("unreachable:", again, err)
	}
	down.Store(0)
	// What is damaged in the state is brought again.
	texts, err := filepath.Glob(filepath.Join(cfg.State, "requirements", "text", "*"))
	if err != nil || len(texts) != 1 {
		t.Fatal(texts, err)
	}
	write(t, texts[0], "other")
	if again, err := bring(t, cfg); err != nil || again.Digest != out.Digest || again.Changed {
		t.Error("after damage:", again, err)
	}
	write(t, filepath.Join(cfg.State, "requirements", "wanted"), "{}")
	if _, err := reqsource.Wanted(cfg.State); !errors.Is(err, fault.Corrupt) {
		t.Error(err)
	}
	if again, err := bring(t, cfg); err != nil || !again.Changed || again.Digest != out.Digest {
		t.Error("after loss:", again, err)
	}
	if cfg.URL = h.URL + "/other"; whole.Load() == 0 {
		t.Fatal()
	}
	if again, err := bring(t, cfg); err != nil || len(again.Stale) != 0 {
		t.Error("another source:", again, err)
	}
}
