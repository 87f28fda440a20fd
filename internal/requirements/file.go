package requirements

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"mirrorcycle/internal/fault"
)

// Note is what was found wrong with one line of a file.
type Note struct {
	Name string // the file's
	Line int    // from 1
	Err  error
}

// String reads "file:line: what is wrong".
func (n Note) String() string { return fmt.Sprintf("%s:%d: %v", n.Name, n.Line, n.Err) }

// ParseFile reads a file of requirements or constraints: one per line, comments
// behind "#", lines continued with "\". name names the file in notes. Lines that
// cannot be read, and options such as -r, -c and -e, which would name other
// files, are left out and noted; --hash and other options behind a requirement
// are passed over, because files are proved by the index. A text of which most
// lines cannot be read is no such file: fault.Malformed.
func ParseFile(name string, data []byte) ([]Requirement, []Note, error) {
	malformed := func(err error) error {
		return &fault.Error{Kind: fault.Malformed, Op: "requirements: parse", Subject: name, Err: err,
			Advice: "is it a file of requirements, or does a portal or proxy answer in its place?"}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, nil, malformed(errors.New("it is not text in UTF-8"))
	}
	var all []Requirement
	var notes []Note
	unread := 0
	for line, text := range logicalLines(string(data)) {
		text = stripComment(text)
		if text == "" {
			continue
		}
		if strings.HasPrefix(text, "-") {
			notes = append(notes, Note{name, line, fmt.Errorf("option %s is not followed; write the file itself into the spec", optionName(text))})
			continue
		}
		r, err := parse(stripOptions(text))
		if err != nil {
			unread++
			notes = append(notes, Note{name, line, errors.New(quoted.ReplaceAllString(err.Error(), "…"))})
			continue
		}
		all = append(all, r)
	}
	if unread > len(all) {
		return nil, notes, malformed(fmt.Errorf("%d of %d lines are no requirements, the first: %w", unread, unread+len(all), firstRefusal(notes)))
	}
	return all, notes, nil
}

// quoted is what an error quotes of a line. A note names the line and leaves that
// out: a line may hold the login of a URL.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// optionName is the name of an option without its value, which may hold a login.
func optionName(text string) string {
	n := strings.IndexFunc(text, func(c rune) bool { return c != '-' && (c < 'a' || c > 'z') })
	if n < 0 {
		n = len(text)
	}
	if !strings.HasPrefix(text, "--") {
		n = min(n, 2) // its value may follow at once
	}
	return text[:n]
}

func firstRefusal(notes []Note) error { return errors.New(notes[0].String()) }

// logicalLines yields lines with their numbers; one that ends in "\" is joined
// with the next and has the number of its first part.
func logicalLines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number, first := 0, 0
		var joined strings.Builder
		for line := range strings.Lines(text) {
			number++
			if first == 0 {
				first = number
			}
			line = strings.TrimRight(line, "\r\n")
			if head, ok := strings.CutSuffix(line, `\`); ok && !isComment(line) {
				joined.WriteString(head)
				continue
			}
			joined.WriteString(line)
			if !yield(first, joined.String()) {
				return
			}
			joined.Reset()
			first = 0
		}
		if joined.Len() > 0 {
			yield(first, joined.String())
		}
	}
}

func isComment(line string) bool { return strings.HasPrefix(trim(line), "#") }

// stripComment cuts what follows a "#" at the line's begin or behind a blank.
func stripComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || isSpace(rune(line[i-1]))) {
			line = line[:i]
			break
		}
	}
	return trim(line)
}

// stripOptions cuts options that stand behind a requirement.
func stripOptions(text string) string {
	if i := strings.Index(text, " --"); i >= 0 {
		text = text[:i]
	}
	return text
}
