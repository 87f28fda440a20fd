package fault_test

import (
	"testing"

	"mirrorcycle/internal/fault"
)

func TestForeignText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                              "plain",
		"\x1b[31mred\x1b[0m":                 "red",
		"\x1b]0;title\x07text":               "text",
		"\x1b]0;title\x1b\\text":             "text",
		"\u009b2Jgone":                       "gone",
		"50%\r100%\r\n":                      "50%\n100%\n",
		"a\tb\x00c\x08\x7f\u0085":            "a\tbc",
		"right \u202eto left\u2066":          "right to left",
		"bad \xff bytes":                     "bad \ufffd bytes",
		"Grüße, 世界":                          "Grüße, 世界",
		"unfinished \x1b[":                   "unfinished [",
		"line\u2028separator\u2029\ufeffend": "lineseparatorend",
	} {
		if got := fault.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := fault.Line(" two\nlines\x1b[1m \t and more", 12); got != "two lines an…" {
		t.Errorf("%q", got)
	}
	if got := fault.Line("ééé", 3); got != "é…" {
		t.Errorf("%q", got)
	}
}
