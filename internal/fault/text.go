package fault

import (
	"regexp"
	"strings"
	"unicode"
)

// sequences are what a terminal takes for orders: colours, titles, moves of the cursor (ECMA-48).
var sequences = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\u009d)[^\x07\x1b\n]*(?:\x07|\x1b\\\\)?")

// Line makes foreign text fit for one line of a terminal, a table or a log, of
// at most limit bytes: no control or formatting character is left in it, and
// what is cut off shows as "…".
func Line(text string, limit int) string {
	if text = strings.Join(strings.Fields(Text(text)), " "); len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// Text makes foreign text of many lines fit for a terminal: line ends and tabs
// stay, orders to the terminal go, and what else cannot be printed does too.
// Invalid UTF-8 becomes U+FFFD.
func Text(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\ufffd"))
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || unicode.IsGraphic(c) && c != '\u2028' && c != '\u2029' {
			return c
		}
		return -1
	}, sequences.ReplaceAllString(text, ""))
}
