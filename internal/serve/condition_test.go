package serve_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o644) }

func TestConditions(t *testing.T) {
	dir := region(t)
	old := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "apt/dists/s/InRelease"), old, old); err != nil {
		t.Fatal(err)
	}
	h := handler(t, dir)
	const path = "/apt/dists/s/InRelease" // "signed"
	first := get(h, path)
	tag, date := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
	if !strings.HasPrefix(tag, `"`) || date != old.Format(http.TimeFormat) {
		t.Fatalf("ETag %s, Last-Modified %s", tag, date)
	}
	tests := []struct {
		name   string
		header []string
		status int
		body   string
	}{
		{"the same tag", []string{"If-None-Match", tag}, 304, ""},
		{"one of the tags", []string{"If-None-Match", `"a", ` + tag}, 304, ""},
		{"another tag", []string{"If-None-Match", `"a"`}, 200, "signed"},
		{"another tag and the same date", []string{"If-None-Match", `"a"`, "If-Modified-Since", date}, 200, "signed"},
		{"the same date", []string{"If-Modified-Since", date}, 304, ""},
		{"a later date, as after a roll back", []string{"If-Modified-Since", old.Add(time.Hour).Format(http.TimeFormat)}, 200, "signed"},
		{"an earlier date", []string{"If-Modified-Since", old.Add(-time.Hour).Format(http.TimeFormat)}, 200, "signed"},
		{"a range", []string{"Range", "bytes=1-3"}, 206, "ign"},
		{"the rest", []string{"Range", "bytes=4-"}, 206, "ed"},
		{"the rest of the same", []string{"Range", "bytes=4-", "If-Range", tag}, 206, "ed"},
		{"the rest of another", []string{"Range", "bytes=4-", "If-Range", `"a"`}, 200, "signed"},
		{"nothing left", []string{"Range", "bytes=6-"}, 416, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := get(h, path, tt.header...)
			content := body(t, res)
			if res.StatusCode != tt.status || tt.status < 400 && content != tt.body {
				t.Errorf("%s: %q", res.Status, content)
			}
			if tt.status == 304 && res.Header.Get("Cache-Control") != index {
				t.Errorf("Cache-Control: %q", res.Header.Get("Cache-Control"))
			}
		})
	}
}

// TestTagsTellFormsApart: both HTML forms may be links to one file.
func TestTagsTellFormsApart(t *testing.T) {
	dir := region(t)
	page := filepath.Join(dir, "pypi/simple/")
	if err := os.Remove(filepath.Join(page, "index.v1_html")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(page, "index.html"), filepath.Join(page, "index.v1_html")); err != nil {
		t.Fatal(err)
	}
	h := handler(t, dir)
	tags := map[string]string{}
	for _, media := range []string{"text/html", v1html, v1json} {
		tag := get(h, "/pypi/simple/", "Accept", media).Header.Get("ETag")
		if other, ok := tags[tag]; ok {
			t.Errorf("%s and %s have the tag %s", media, other, tag)
		}
		tags[tag] = media
	}
	for tag, media := range tags {
		if res := get(h, "/pypi/simple/", "Accept", media, "If-None-Match", tag); res.StatusCode != 304 || res.Header.Get("Vary") != "Accept" {
			t.Errorf("%s: %s", media, res.Status)
		}
	}
}

func TestTagChangesWithTheFile(t *testing.T) {
	dir := region(t)
	h := handler(t, dir)
	before := get(h, "/apt/dists/s/InRelease").Header.Get("ETag")
	write(t, dir, map[string]string{"apt/dists/s/new": "SIGNED"})
	view := filepath.Join(dir, "apt/dists/s")
	if err := os.Rename(filepath.Join(view, "new"), filepath.Join(view, "InRelease")); err != nil {
		t.Fatal(err)
	}
	if res := get(h, "/apt/dists/s/InRelease", "If-None-Match", before); res.StatusCode != 200 || body(t, res) != "SIGNED" {
		t.Error(res.Status)
	}
}

// TestYoungFilesHaveNoDate: clients such as apt compare whole seconds, and another
// generation may come within this one.
func TestYoungFilesHaveNoDate(t *testing.T) {
	dir := region(t)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(dir, "apt/dists/s/InRelease"), now, now); err != nil {
		t.Fatal(err)
	}
	res := get(handler(t, dir), "/apt/dists/s/InRelease")
	if date, tag := res.Header.Get("Last-Modified"), res.Header.Get("ETag"); date != "" || tag == "" {
		t.Errorf("Last-Modified %q, ETag %q", date, tag)
	}
}
