package requirements

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
// files, are left out and noted; notes quote nothing, since such lines hold
// credentials; --hash and other options behind a requirement
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
			notes = append(notes, Note{name, line, fmt.Errorf("option %sis not followed; write the file itself into the spec", option(text))})
			continue
		}
		r, err := Parse(stripOptions(text))
		if err != nil {
			unread++
			notes = append(notes, Note{name, line, err})
			continue
		}
		all = append(all, r)
	}
	if unread > len(all) {
		return nil, notes, malformed(fmt.Errorf("%d of %d lines are no requirements, the first: %w", unread, unread+len(all), firstRefusal(notes)))
	}
	return all, notes, nil
}

// options are those of pip that may stand on a line of their own.
var options = []string{"-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "-r", "--requirement", "-c", "--constraint",
	"-e", "--editable", "--no-binary", "--only-binary", "--prefer-binary", "--require-hashes", "--pre", "--trusted-host", "--use-feature"}

// option is the quoted name of a known option, with a blank behind it. What is
// glued to it, as in "-ihttps://…" and "--index-url=…", is not shown.
func option(text string) string {
	name := text[:min(2, len(text))]
	if name == "--" {
		name, _, _ = strings.Cut(strings.Fields(text)[0], "=")
	}
	if !slices.Contains(options, name) {
		return ""
	}
	return strconv.Quote(name) + " "
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
