package simpleindex_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

const pageURL = "https://index.example.org/simple/nova/"

var (
	shaA = strings.Repeat("a", 64)
	shaB = strings.Repeat("b", 64)
)

// page wraps a list of files into a project page.
func page(files string) string {
	return `{"meta":{"api-version":"1.4","_last-serial":7},"name":"Nova","versions":["1.0"],"files":[` + files + `]}`
}

// file is one entry with further keys.
func file(more string) string {
	return `{"filename":"nova-1.0.tar.gz","url":"https://files.example.org/packages/nova-1.0.tar.gz","hashes":{"sha256":"` + shaA + `"}` + more + `}`
}

func TestParseProject(t *testing.T) {
	base := simpleindex.File{Filename: "nova-1.0.tar.gz", URL: "https://files.example.org/packages/nova-1.0.tar.gz", SHA256: shaA, Size: -1}
	with := func(change func(*simpleindex.File)) simpleindex.File {
		f := base
		change(&f)
		return f
	}
	tests := []struct {
		name, entry string
		want        simpleindex.File
	}{
		{"the least", file(""), base},
		{"null where nothing is known", file(`,"size":null,"requires-python":null,"yanked":null,"core-metadata":null,"provenance":null,"upload-time":""`), base},
		{"size and time", file(`,"size":12,"upload-time":"2024-05-06T07:08:09.123456Z"`), with(func(f *simpleindex.File) {
			f.Size, f.UploadTime = 12, time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
		})},
		{"requires-python", file(`,"requires-python":">=3.8"`), with(func(f *simpleindex.File) { f.RequiresPython = ">=3.8" })},
		{"not yanked", file(`,"yanked":false`), base},
		{"yanked without reason", file(`,"yanked":true`), with(func(f *simpleindex.File) { f.Yanked = true })},
		{"yanked with reason", file(`,"yanked":"bad <wheel>"`), with(func(f *simpleindex.File) { f.Yanked, f.YankedReason = true, "bad <wheel>" })},
		{"core metadata without digest", file(`,"core-metadata":true`), with(func(f *simpleindex.File) { f.CoreMetadata.Available = true })},
		{"core metadata with digest", file(`,"core-metadata":{"sha256":"` + shaB + `"}`), with(func(f *simpleindex.File) {
			f.CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: shaB}
		})},
		{"core metadata under its old name", file(`,"data-dist-info-metadata":{"sha256":"` + shaB + `"}`), with(func(f *simpleindex.File) {
			f.CoreMetadata = simpleindex.CoreMetadata{Available: true, SHA256: shaB}
		})},
		{"the new name wins", file(`,"core-metadata":false,"data-dist-info-metadata":true`), base},
		{"provenance", file(`,"provenance":"/integrity/nova/1.0/provenance"`), with(func(f *simpleindex.File) {
			f.Provenance = "https://index.example.org/integrity/nova/1.0/provenance"
		})},
		{"relative URL and fragment", strings.Replace(file(""), "https://files.example.org/packages/nova-1.0.tar.gz", "../../packages/nova-1.0.tar.gz#sha256=x", 1),
			with(func(f *simpleindex.File) { f.URL = "https://index.example.org/packages/nova-1.0.tar.gz" })},
		{"no size", file(`,"size":0`), base},
		{"a size that is none", file(`,"size":-1`), base},
		{"size as text", file(`,"size":"1"`), base},
		{"a time that is none", file(`,"upload-time":"yesterday"`), base},
		{"a time before there were computers", file(`,"upload-time":"0001-01-01T00:00:00Z"`), base},
		{"time as a number", file(`,"upload-time":1700000000`), base},
		{"time without an offset", file(`,"upload-time":"2024-05-06T07:08:09"`), with(func(f *simpleindex.File) { f.UploadTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC) })},
		{"requires-python is a list", file(`,"requires-python":[]`), base},
		{"core metadata is a list", file(`,"core-metadata":[]`), base},
		{"core metadata with a bad digest", file(`,"core-metadata":{"sha256":"x"}`), base},
		{"provenance is a number", file(`,"provenance":7`), base},
		{"twice the same", file("") + "," + file(""), base},
		{"digest in capitals", strings.Replace(file(""), shaA, strings.ToUpper(shaA), 1), base},
		{"other digests", strings.Replace(file(""), `"sha256"`, `"md5":"x","sha256"`, 1), with(func(f *simpleindex.File) { f.Hashes = map[string]string{"md5": "x"} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := simpleindex.ParseProject([]byte(page(tt.entry)), "nova", pageURL)
			if err != nil {
				t.Fatal(err)
			}
			want := &simpleindex.Project{Name: "nova", Status: simpleindex.Active, LastSerial: 7, Versions: []string{"1.0"}, Files: []simpleindex.File{tt.want}}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSerials(t *testing.T) {
	for text, want := range map[string]int64{"7": 7, `"7"`: 7, `" 7 "`: 7, "null": 0, `""`: 0, `"x"`: 0, "-1": 0, "1.5": 0, "[]": 0, "true": 0, "99999999999999999999": 0} {
		p, err := simpleindex.ParseProject([]byte(strings.Replace(page(""), `"_last-serial":7`, `"_last-serial":`+text, 1)), "nova", pageURL)
		if err != nil || p.LastSerial != want {
			t.Errorf("page, %s: %+v, %v", text, p, err)
		}
		r, got, err := readRoot(`{"meta":{"api-version":"1.0","_last-serial":` + text + `},"projects":[{"name":"nova","_last-serial":` + text + `}]}`)
		if err != nil || r.LastSerial() != want || got[0].LastSerial != want {
			t.Errorf("root, %s: %d, %v, %v", text, r.LastSerial(), got, err)
		}
	}
}

func TestParseProjectStatus(t *testing.T) {
	text := `{"meta":{"api-version":"1.4"},"name":"n","project-status":{"status":"quarantined","reason":"malware"},"files":[]}`
	p, err := simpleindex.ParseProject([]byte(text), "N", pageURL)
	if err != nil || p.Status != simpleindex.Quarantined || p.StatusReason != "malware" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestParseProjectRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		kind       fault.Kind
	}{
		{"empty", "", fault.Malformed},
		{"portal page", "<!DOCTYPE html><html>", fault.Malformed},
		{"cut short", page(file(""))[:80], fault.Malformed},
		{"data after the end", page("") + "{}", fault.Malformed},
		{"API 2", strings.Replace(page(""), `"1.4"`, `"2.0"`, 1), fault.Malformed},
		{"no meta", `{"name":"nova","files":[]}`, fault.Malformed},
		{"no list of files", `{"meta":{"api-version":"1.4"},"name":"nova"}`, fault.Malformed},
		{"null list of files", `{"meta":{"api-version":"1.4"},"name":"nova","files":null}`, fault.Malformed},
		{"another project", strings.Replace(page(""), "Nova", "glance", 1), fault.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := simpleindex.ParseProject([]byte(tt.text), "nova", pageURL)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("ParseProject = %+v, %v; want %v", p, err, tt.kind)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows a credential: %v", err)
			}
		})
	}
}

// TestEntriesThatCannotBeUsed are passed over alone.
func TestEntriesThatCannotBeUsed(t *testing.T) {
	good := strings.Replace(file(""), "nova-1.0", "nova-2.0", 1)
	tests := []struct {
		name, entry string
		kind        fault.Kind
	}{
		{"no sha256", strings.Replace(file(""), "sha256", "blake2b_256", 1), fault.Unproved},
		{"short sha256", strings.Replace(file(""), shaA, "aa", 1), fault.Unproved},
		{"yanked is a number", file(`,"yanked":1`), fault.Malformed},
		{"no URL", strings.Replace(file(""), "https://files.example.org/packages/nova-1.0.tar.gz", "", 1), fault.Malformed},
		{"file URL", strings.Replace(file(""), "https://files.example.org", "file://", 1), fault.Hostile},
		{"URL with credentials", strings.Replace(file(""), "https://", "https://user:secret@", 1), fault.Hostile},
		{"name with separator", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"../nova.tar.gz"`, 1), fault.Hostile},
		{"name is dot-dot", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `".."`, 1), fault.Hostile},
		{"hidden name", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `".mirror"`, 1), fault.Hostile},
		{"name with NUL", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"a\u0000b"`, 1), fault.Hostile},
		{"name with backslash", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"a\\b"`, 1), fault.Hostile},
		{"empty name", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `""`, 1), fault.Hostile},
		{"long name", strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"`+strings.Repeat("x", 250)+`"`, 1), fault.Hostile},
		{"only MD5", strings.Replace(file(""), `"sha256":"`+shaA, `"md5":"`+shaA, 1), fault.Unproved},
		{"no hashes", strings.Replace(file(""), `"hashes"`, `"h"`, 1), fault.Unproved},
		{"hashes are a list", strings.Replace(file(""), `{"sha256":"`+shaA+`"}`, `[]`, 1), fault.Unproved},
		{"is a number", "7", fault.Malformed},
		{"listed twice with two digests", file("") + "," + strings.Replace(file(""), shaA, shaB, 1), fault.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := simpleindex.ParseProject([]byte(page(tt.entry+","+good)), "nova", pageURL)
			if err != nil || len(p.Files) != 1 || p.Files[0].Filename != "nova-2.0.tar.gz" || len(p.Refused) != 1 || !errors.Is(p.Refused[0].Err, tt.kind) {
				t.Fatalf("%+v, %v; want one file, and one refused as %s", p, err, tt.kind)
			}
			if strings.Contains(p.Refused[0].Err.Error(), "secret") {
				t.Errorf("error shows a credential: %v", p.Refused[0].Err)
			}
		})
	}
}

func FuzzParseProject(f *testing.F) {
	f.Add([]byte(page(file(`,"size":12,"yanked":"x","core-metadata":{"sha256":"`+shaB+`"}`))), "nova")
	f.Add([]byte(page("")), "nova")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		p, err := simpleindex.ParseProject(data, name, pageURL)
		if err != nil {
			if !errors.Is(err, fault.Malformed) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		for _, file := range p.Files {
			if file.Filename == "" || file.Filename[0] == '.' || strings.ContainsAny(file.Filename, "/\\\x00") {
				t.Fatalf("accepted file name %q", file.Filename)
			}
			if strings.Contains(simpleindex.ObjectPath(file.URL, file.SHA256, file.Filename), "..") && !strings.Contains(file.Filename, "..") {
				t.Fatalf("path leaves the tree: %+v", file)
			}
		}
		p.RenderHTML(simpleindex.RenderOptions{})
		// What is rendered must read back as the same project, but for the URLs.
		again, err := simpleindex.ParseProject(p.RenderJSON(simpleindex.RenderOptions{URL: func(f simpleindex.File) string { return f.URL }}), p.Name, pageURL)
		if err != nil {
			t.Fatalf("own rendering is refused: %v", err)
		}
		if len(again.Files) != len(p.Files) {
			t.Fatalf("%d files became %d", len(p.Files), len(again.Files))
		}
	})
}
