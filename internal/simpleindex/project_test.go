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
		{"file twice", page(file("") + "," + file("")), fault.Malformed},
		{"no sha256", page(strings.Replace(file(""), "sha256", "blake2b_256", 1)), fault.Malformed},
		{"short sha256", page(strings.Replace(file(""), shaA, "aa", 1)), fault.Malformed},
		{"negative size", page(file(`,"size":-1`)), fault.Malformed},
		{"size as text", page(file(`,"size":"1"`)), fault.Malformed},
		{"unreadable time", page(file(`,"upload-time":"yesterday"`)), fault.Malformed},
		{"yanked is a number", page(file(`,"yanked":1`)), fault.Malformed},
		{"core metadata is a list", page(file(`,"core-metadata":[]`)), fault.Malformed},
		{"core metadata with a bad digest", page(file(`,"core-metadata":{"sha256":"x"}`)), fault.Malformed},
		{"no URL", page(strings.Replace(file(""), "https://files.example.org/packages/nova-1.0.tar.gz", "", 1)), fault.Malformed},
		{"file URL", page(strings.Replace(file(""), "https://files.example.org", "file://", 1)), fault.Hostile},
		{"URL with credentials", page(strings.Replace(file(""), "https://", "https://user:secret@", 1)), fault.Hostile},
		{"name with separator", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"../nova.tar.gz"`, 1)), fault.Hostile},
		{"name is dot-dot", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `".."`, 1)), fault.Hostile},
		{"hidden name", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `".mirror"`, 1)), fault.Hostile},
		{"name with NUL", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"a\u0000b"`, 1)), fault.Hostile},
		{"name with backslash", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"a\\b"`, 1)), fault.Hostile},
		{"empty name", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `""`, 1)), fault.Hostile},
		{"long name", page(strings.Replace(file(""), `"nova-1.0.tar.gz"`, `"`+strings.Repeat("x", 250)+`"`, 1)), fault.Hostile},
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

func FuzzParseProject(f *testing.F) {
	f.Add([]byte(page(file(`,"size":12,"yanked":"x","core-metadata":{"sha256":"`+shaB+`"}`))), "nova")
	f.Add([]byte(page("")), "nova")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		p, err := simpleindex.ParseProject(data, name, pageURL)
		if err != nil {
			if !errors.Is(err, fault.Malformed) && !errors.Is(err, fault.Hostile) {
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
