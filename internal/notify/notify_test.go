package notify_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/notify"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/standing"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestLackingIsToldOnce: notes that cycle after cycle finds make one notice, and
// their end another; what is new may pass by itself.
func TestLackingIsToldOnce(t *testing.T) {
	told := standing.Told{}
	line := site.Note{Unit: "requirements", Error: "requirements: f:3: no name"}
	known := line
	known.Known = true
	for i, c := range []struct {
		outcome string
		notes   []site.Note
		want    string
	}{{"partial", []site.Note{line}, ""}, {"unchanged", []site.Note{known}, "lacking f:3"}, {"unchanged", []site.Note{known, known}, ""},
		{"failed", []site.Note{known}, "failed "}, {"unchanged", []site.Note{known}, "lacking f:3"}, {"done", nil, "recovered "}} {
		r := &standing.Record{Status: site.Status{Written: now.Add(time.Duration(i) * time.Hour), Mirrors: []site.Mirror{{Name: "wheels", Outcome: c.outcome, Deferred: c.notes}}}}
		got := ""
		for _, n := range notify.Due("demo", r, told, time.Hour) {
			told[notify.Subject(n)] = n
			got = n.Condition + " "
			if strings.Contains(n.Detail, "f:3") {
				got += "f:3"
			}
		}
		if got != c.want {
			t.Errorf("cycle %d: %q, want %q", i, got, c.want)
		}
	}
}

// TestDue goes through cycles one after the other; every notice is taken at once.
func TestDue(t *testing.T) {
	type cycle struct {
		mirror, region string        // outcomes
		behind         time.Duration // of the region
		want           []string
	}
	for name, cycles := range map[string][]cycle{
		"nothing is wrong": {{"done", "done", 0, nil}, {"unchanged", "unchanged", 0, nil}},
		"held once, recovered once": {{"held", "unchanged", 0, []string{"debian held "}}, {"held", "unchanged", 0, nil},
			{"done", "done", 0, []string{"debian recovered held"}}, {"unchanged", "unchanged", 0, nil}},
		"a region fails":              {{"done", "failed", 0, []string{"debian@dfw failed "}}, {"unchanged", "failed", 0, nil}, {"unchanged", "done", 0, []string{"debian@dfw recovered failed"}}},
		"a region lags":               {{"done", "late", 2 * time.Hour, []string{"debian@dfw lagging "}}, {"done", "late", 3 * time.Hour, nil}, {"unchanged", "done", 0, []string{"debian@dfw recovered lagging"}}},
		"late is not yet lagging":     {{"done", "late", time.Minute, nil}},
		"held, then failed":           {{"held", "", 0, []string{"debian held "}}, {"failed", "", 0, []string{"debian failed held"}}},
		"not looked at is no change":  {{"failed", "failed", 0, []string{"debian failed ", "debian@dfw failed "}}, {"", "", 0, nil}, {"failed", "failed", 0, nil}},
		"busy is no recovery":         {{"failed", "unchanged", 0, []string{"debian failed "}}, {"busy", "busy", 0, nil}, {"unchanged", "unchanged", 0, []string{"debian recovered failed"}}},
		"on hold is a person's doing": {{"held", "unchanged", 0, []string{"debian held "}}, {"on-hold", "unchanged", 0, nil}},
		"partial is no failure":       {{"partial", "done", 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			told := standing.Told{}
			for i, c := range cycles {
				at := now.Add(time.Duration(i) * time.Hour)
				r := &standing.Record{Status: site.Status{Written: at, Mirrors: []site.Mirror{{Name: "debian", Outcome: c.mirror, LevelAt: at,
					Regions: []site.Served{{Region: "dfw", Outcome: c.region, LevelAt: at.Add(-c.behind)}}}}}}
				var got []string
				for _, n := range notify.Due("demo", r, told, time.Hour) {
					got = append(got, notify.Subject(n)+" "+n.Condition+" "+n.From)
					told[notify.Subject(n)] = n
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("cycle %d: %s", i, diff)
				}
			}
		})
	}
}

func TestNoticeSaysWhatHelps(t *testing.T) {
	r := &standing.Record{Status: site.Status{Written: now, Mirrors: []site.Mirror{{Name: "debian", Outcome: "held", Plan: "abc", Reasons: []string{"too much", "goes"}}}}}
	due := notify.Due("demo", r, nil, time.Hour)
	again := notify.Due("demo", r, nil, time.Hour)
	if len(due) != 1 || due[0].Run != "starter approve debian abc" || due[0].Detail != "too much; goes" || due[0].ID == "" || due[0].ID != again[0].ID ||
		due[0].Text != "demo: mirror debian is held: its plan needs your approval" {
		t.Errorf("%+v", due)
	}
}

func TestSend(t *testing.T) {
	var got standing.Notice
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(data, &got); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hush" {
			t.Errorf("%v %s %s %v", err, r.Method, r.URL, r.Header)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "webhook")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(s.URL + "/hush\n")
	n := standing.Notice{Version: 1, ID: "x", Mirror: "debian", Condition: "held", Since: now}
	for code, want := range map[int]error{200: nil, 204: nil, 302: fault.Denied, 404: fault.Denied, 429: fault.Unavailable, 503: fault.Unavailable} {
		status = code
		err := notify.Send(t.Context(), file, n)
		if !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if diff := cmp.Diff(n, got); diff != "" {
		t.Error(diff)
	}
	s.Close()
	if err := notify.Send(t.Context(), file, n); !errors.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hush") {
		t.Errorf("gone: %v", err)
	}
	for _, text := range []string{"", "hush", "file:///hush", "http://\x7fhush"} {
		write(text)
		if err := notify.Send(t.Context(), file, n); !errors.Is(err, fault.Config) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
