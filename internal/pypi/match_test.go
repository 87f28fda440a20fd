package pypi

import (
	"encoding/json"
	"testing"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// TestNotesAreReadAsTheParserReadsThem: the short cut for most notes and the
// parser agree.
func TestNotesAreReadAsTheParserReadsThem(t *testing.T) {
	for _, n := range []rowNote{{}, {ETag: `"abc"`}, {ETag: `W/"abc"`}, {ETag: `"a\"`}, {ETag: `\`}, {ETag: `"<&>"`}, {ETag: "plain"},
		{ETag: `","r":true,"p":"`}, {Retry: true}, {Name: "X", ETag: `"a"`}, {ETag: `"a"`, State: simpleindex.Quarantined}, {ETag: `"a"`, Pick: "p"}} {
		if got := readNote(manifest.Entry{Note: n.String()}); got != n {
			t.Errorf("%s: got %+v, want %+v", n, got, n)
		}
		row := manifest.Entry{Path: "x", Note: n.String()}
		if got, want := isQuarantined(row), n.State == simpleindex.Quarantined; got != want {
			t.Errorf("%s: quarantined %v, want %v", n, got, want)
		}
		if want := n.Name; want != "" && display(row) != want || want == "" && display(row) != "x" {
			t.Errorf("%s: shown as %s", n, display(row))
		}
	}
	for _, note := range []string{"", "{", `{"e":"a","r":true}`, `{"e":"a" , "r":true}`, `{"e":""}`, `{"e":"a\u0022"}`} {
		var want rowNote
		_ = json.Unmarshal([]byte(note), &want)
		if got := readNote(manifest.Entry{Note: note}); got != want {
			t.Errorf("%s: got %+v, want %+v", note, got, want)
		}
	}
}

func TestMatcher(t *testing.T) {
	m := newMatcher([]string{"nova", "oslo-*", "py[tz]", "a?c"})
	for name, want := range map[string]bool{"nova": true, "nov": false, "oslo-config": true, "oslo": false, "pyt": true, "pyx": false, "abc": true, "ac": false, "": false} {
		if m.match(name) != want {
			t.Errorf("%q: selected %v, want %v", name, !want, want)
		}
	}
}
