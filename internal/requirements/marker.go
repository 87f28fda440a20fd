package requirements

import (
	"errors"
	"fmt"
	"strings"
)

// Marker is a condition on the environment (PEP 508). The zero value always holds.
type Marker struct {
	text string
	root node
}

// node is an expression of a marker.
type node interface {
	in(e Environment) truth
}

type comparison struct {
	variable, op, value string
	reversed            bool // value op variable
}

type both struct{ a, b node }

type either struct{ a, b node }

func (c comparison) in(e Environment) truth { return e.compare(c.variable, c.op, c.value, c.reversed) }
func (n both) in(e Environment) truth       { return min(n.a.in(e), n.b.in(e)) }
func (n either) in(e Environment) truth     { return max(n.a.in(e), n.b.in(e)) }

// In reports whether the marker holds in e, or may: what e does not tell is
// taken to be as the marker wants it.
func (m Marker) In(e Environment) bool { return m.root == nil || m.root.in(e) != no }

// String returns the marker as it was written.
func (m Marker) String() string { return m.text }

// ParseMarker reads an expression such as `python_version >= "3.9"`.
func ParseMarker(text string) (Marker, error) {
	p := markerParser{rest: text}
	root, err := p.either(0)
	if err == nil {
		p.blanks()
		if p.rest != "" {
			err = errors.New("something unexpected stands behind it")
		}
	}
	if err != nil {
		return Marker{}, fmt.Errorf("marker: %w", err)
	}
	return Marker{text: trim(text), root: root}, nil
}

// maxNesting bounds parentheses within parentheses.
const maxNesting = 50

type markerParser struct{ rest string }

func (p *markerParser) blanks() { p.rest = strings.TrimLeftFunc(p.rest, isSpace) }

// word takes w if it comes next and is not the beginning of a longer word.
func (p *markerParser) word(w string) bool {
	p.blanks()
	rest, ok := strings.CutPrefix(p.rest, w)
	if !ok || rest != "" && isWord(rest[0]) {
		return false
	}
	p.rest = rest
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func (p *markerParser) either(depth int) (node, error) {
	n, err := p.both(depth)
	for err == nil && p.word("or") {
		var next node
		next, err = p.both(depth)
		n = either{n, next}
	}
	return n, err
}

func (p *markerParser) both(depth int) (node, error) {
	n, err := p.term(depth)
	for err == nil && p.word("and") {
		var next node
		next, err = p.term(depth)
		n = both{n, next}
	}
	return n, err
}

func (p *markerParser) term(depth int) (node, error) {
	p.blanks()
	rest, ok := strings.CutPrefix(p.rest, "(")
	if !ok {
		return p.comparison()
	}
	if depth >= maxNesting {
		return nil, errors.New("nested too deeply")
	}
	p.rest = rest
	n, err := p.either(depth + 1)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.rest, ok = strings.CutPrefix(p.rest, ")"); !ok {
		return nil, errors.New("')' is missing")
	}
	return n, nil
}

func (p *markerParser) comparison() (node, error) {
	left, leftIs, err := p.operand()
	if err != nil {
		return nil, err
	}
	op, err := p.operator()
	if err != nil {
		return nil, err
	}
	right, rightIs, err := p.operand()
	switch {
	case err != nil:
		return nil, err
	case leftIs == rightIs:
		return nil, errors.New("a comparison needs one variable and one quoted text")
	case leftIs:
		return comparison{variable: left, op: op, value: right}, nil
	}
	return comparison{variable: right, op: op, value: left, reversed: true}, nil
}

// operand takes a variable's name or a quoted text.
func (p *markerParser) operand() (text string, variable bool, err error) {
	p.blanks()
	if p.rest == "" {
		return "", false, errors.New("ends too early")
	}
	if quote := p.rest[0]; quote == '"' || quote == '\'' {
		text, rest, ok := strings.Cut(p.rest[1:], string(quote))
		if !ok {
			return "", false, errors.New("a quote is not closed")
		}
		if strings.ContainsAny(text, "\\\n\r") {
			return "", false, errors.New("an escape in a quoted text")
		}
		p.rest = rest
		return text, false, nil
	}
	n := 0
	for n < len(p.rest) && (isWord(p.rest[n]) || p.rest[n] == '.') {
		n++
	}
	name, ok := variables[p.rest[:n]]
	if !ok {
		return "", false, errors.New("unknown variable")
	}
	p.rest = p.rest[n:]
	return name, true, nil
}

func (p *markerParser) operator() (string, error) {
	if p.word("in") {
		return "in", nil
	}
	if p.word("not") {
		if !p.word("in") {
			return "", errors.New("'not' without 'in'")
		}
		return "not in", nil
	}
	p.blanks()
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(p.rest, op); ok {
			p.rest = rest
			return op, nil
		}
	}
	return "", errors.New("an operator is missing")
}
