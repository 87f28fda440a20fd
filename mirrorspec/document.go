package mirrorspec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// place is a line and a column (in bytes), both from 1.
type place struct{ line, column int }

// valueKind is what a TOML value is, in the words of a fault.
type valueKind string

const (
	isString  valueKind = "a string"
	isInteger valueKind = "an integer"
	isBool    valueKind = "true or false"
	isArray   valueKind = "a list"
	isTable   valueKind = "a table"
	isOther   valueKind = "a number or date"
)

// value is a TOML value with its place.
type value struct {
	place
	kind  valueKind
	text  string   // of a string
	n     int64    // of an integer
	yes   bool     // of a boolean
	items []*value // of a list
	table *table   // of a table
	array bool     // a list made by [[headers]]
}

// table is a TOML table in the order of its file.
type table struct {
	place
	keys    []string
	entries map[string]*entry
	closed  bool // an inline table, or one whose [header] was seen
	inline  bool
}

// entry is a key of a table with its value.
type entry struct {
	place // of the key
	value *value
}

func newTable(at place) *table { return &table{place: at, entries: map[string]*entry{}} }

func (t *table) add(key string, at place, v *value) {
	t.keys = append(t.keys, key)
	t.entries[key] = &entry{place: at, value: v}
}

// document builds the tree of tables from the parser's expressions.
type document struct {
	parser unstable.Parser
	starts []int // offset of each line
	root   *table
	here   *table // the table of the last header; nil if that was refused
	faults Faults
	file   string
}

// parseDocument reads TOML 1.0. A syntax error is the only fault then, since
// nothing behind it can be trusted; keys defined twice are all reported.
func parseDocument(file string, data []byte) (*table, Faults) {
	d := &document{file: file, root: newTable(place{1, 1}), starts: []int{0}}
	for i, c := range data {
		if c == '\n' {
			d.starts = append(d.starts, i+1)
		}
	}
	d.here = d.root
	d.parser.Reset(data)
	for d.parser.NextExpression() {
		d.expression(d.parser.Expression())
	}
	if err := d.parser.Error(); err != nil {
		return nil, Faults{d.syntaxFault(data, err)}
	}
	return d.root, d.faults
}

// decodeFaults holds data against the rules that the parser leaves to the
// decoder, such as valid dates. The decoder's time grows with the square of the
// tables, so only what is fine otherwise is given to it.
func decodeFaults(file string, data []byte) Faults {
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		return Faults{(&document{file: file, starts: []int{0}}).syntaxFault(data, err)}
	}
	return nil
}

func (d *document) syntaxFault(data []byte, err error) Fault {
	at := place{1, 1}
	message := err.Error()
	var parse *unstable.ParserError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &parse):
		// A highlight is a part of data: its capacity tells where it starts.
		if offset := cap(data) - cap(parse.Highlight); offset >= 0 && offset <= len(data) {
			at = d.place(offset)
		}
	case errors.As(err, &decode):
		at.line, at.column = decode.Position()
		message = string(bytes.TrimPrefix([]byte(message), []byte("toml: ")))
	}
	return Fault{File: d.file, Line: at.line, Column: at.column, Problem: "not TOML: " + message}
}

func (d *document) place(offset int) place {
	low, high := 0, len(d.starts)
	for high-low > 1 {
		if middle := (low + high) / 2; d.starts[middle] <= offset {
			low = middle
		} else {
			high = middle
		}
	}
	return place{low + 1, offset - d.starts[low] + 1}
}

func (d *document) at(r unstable.Range) place { return d.place(int(r.Offset)) }

func (d *document) expression(node *unstable.Node) {
	switch node.Kind {
	case unstable.Table:
		d.here = d.header(node)
	case unstable.ArrayTable:
		d.here = d.arrayHeader(node)
	case unstable.KeyValue:
		if d.here != nil {
			d.keyValue(d.here, node)
		}
	}
}

// header opens the table of a [header].
func (d *document) header(node *unstable.Node) *table {
	parent, key := d.parent(d.root, node)
	if parent == nil {
		return nil
	}
	name, at := string(key.Data), d.at(key.Raw)
	e, ok := parent.entries[name]
	if !ok {
		t := newTable(at)
		t.closed = true
		parent.add(name, at, &value{place: at, kind: isTable, table: t})
		return t
	}
	if e.value.kind != isTable || e.value.table.closed {
		return d.twice(name, at, e)
	}
	e.value.table.closed = true
	return e.value.table
}

// arrayHeader opens one more table of an [[array]].
func (d *document) arrayHeader(node *unstable.Node) *table {
	parent, key := d.parent(d.root, node)
	if parent == nil {
		return nil
	}
	name, at := string(key.Data), d.at(key.Raw)
	e, ok := parent.entries[name]
	if !ok {
		parent.add(name, at, &value{place: at, kind: isArray, array: true})
		e = parent.entries[name]
	}
	if !e.value.array {
		return d.twice(name, at, e)
	}
	t := newTable(at)
	e.value.items = append(e.value.items, &value{place: at, kind: isTable, table: t})
	return t
}

// parent walks all parts of a key but the last, making tables as it goes. It
// returns nil after a fault.
func (d *document) parent(t *table, node *unstable.Node) (*table, *unstable.Node) {
	keys := node.Key()
	keys.Next()
	for !keys.IsLast() {
		key := keys.Node()
		name, at := string(key.Data), d.at(key.Raw)
		e, ok := t.entries[name]
		if !ok {
			t.add(name, at, &value{place: at, kind: isTable, table: newTable(at)})
			e = t.entries[name]
		}
		next := e.value
		if next.array {
			next = next.items[len(next.items)-1]
		}
		if next.kind != isTable || next.table.inline {
			return d.twice(name, at, e), nil
		}
		t = next.table
		keys.Next()
	}
	return t, keys.Node()
}

func (d *document) keyValue(t *table, node *unstable.Node) {
	t, key := d.parent(t, node)
	if t == nil {
		return
	}
	name, at := string(key.Data), d.at(key.Raw)
	if e, ok := t.entries[name]; ok {
		d.twice(name, at, e)
		return
	}
	t.add(name, at, d.value(node.Value(), d.afterKey(node, key)))
}

// afterKey returns the place of a value, which lists do not know themselves.
func (d *document) afterKey(pair, key *unstable.Node) place {
	raw := d.parser.Raw(pair.Raw)
	offset := int(key.Raw.Offset + key.Raw.Length - pair.Raw.Offset)
	for offset < len(raw) && bytes.IndexByte([]byte(" \t="), raw[offset]) >= 0 {
		offset++
	}
	return d.place(int(pair.Raw.Offset) + offset)
}

// value converts a node; at is where it stands if it does not know itself.
func (d *document) value(node *unstable.Node, at place) *value {
	if node.Raw.Length > 0 {
		at = d.at(node.Raw)
	}
	v := &value{place: at, kind: isOther}
	switch node.Kind {
	case unstable.String:
		v.kind, v.text = isString, string(node.Data)
	case unstable.Bool:
		v.kind, v.yes = isBool, string(node.Data) == "true"
	case unstable.Integer:
		if n, err := strconv.ParseInt(string(node.Data), 0, 64); err == nil {
			v.kind, v.n = isInteger, n
		}
	case unstable.Array:
		v.kind = isArray
		for items := node.Children(); items.Next(); {
			v.items = append(v.items, d.value(items.Node(), at))
		}
	case unstable.InlineTable:
		v.kind, v.table = isTable, newTable(at)
		for pairs := node.Children(); pairs.Next(); {
			d.keyValue(v.table, pairs.Node())
		}
		v.table.closed, v.table.inline = true, true
	}
	return v
}

// twice reports a key that is there already; it returns nil for its callers to hand on.
func (d *document) twice(name string, at place, first *entry) *table {
	d.faults = append(d.faults, Fault{
		File: d.file, Line: at.line, Column: at.column, Key: quoteKey(name),
		Problem: fmt.Sprintf("already defined as %s on line %d", first.value.kind, first.line),
		Advice:  "remove one of the two",
	})
	return nil
}
