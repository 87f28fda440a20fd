package simpleindex

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"mirrorcycle/internal/fault"
)

// RootProject is one project that the root lists.
type RootProject struct {
	Name       string // for display; look it up normalised
	LastSerial int64  // 0 if the root names none
}

// RootReader reads the root page in JSON as a stream: it holds one entry at a
// time of a page of tens of megabytes.
type RootReader struct {
	dec     *json.Decoder
	serial  int64
	refused []string
	nRefuse int
}

// ReadRoot starts reading a root page (PEP 691). Nothing is read before the
// first project is asked for.
func ReadRoot(r io.Reader) *RootReader { return &RootReader{dec: json.NewDecoder(r)} }

// Projects yields every project in the page's order. A page that is cut short,
// has anything after its end, lacks meta or the list, or is of another major
// version of the API ends with fault.Malformed; whoever drops projects must
// have seen the end without error. An entry whose name is not valid is passed
// over and counted, so that it does not block the others.
func (r *RootReader) Projects() iter.Seq2[RootProject, error] {
	return func(yield func(RootProject, error) bool) {
		stopped := errors.New("stopped")
		err := r.read(func(p RootProject) error {
			if !yield(p, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			if fault.KindOf(err) == "" {
				err = &fault.Error{Kind: fault.Malformed, Op: "simpleindex: read root", Err: err}
			}
			yield(RootProject{}, err)
		}
	}
}

// LastSerial returns the serial of the whole index, 0 if the page names none. It
// is known for certain only at the end of the page.
func (r *RootReader) LastSerial() int64 { return r.serial }

// Refused returns the number of entries passed over and the first few names.
func (r *RootReader) Refused() (n int, examples []string) { return r.nRefuse, r.refused }

func (r *RootReader) read(each func(RootProject) error) error {
	first, err := r.dec.Token()
	if err != nil {
		return r.broken(err)
	}
	if first != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	meta, projects := false, false
	for r.dec.More() {
		key, err := r.dec.Token()
		if err != nil {
			return r.broken(err)
		}
		switch key {
		case "meta":
			err, meta = r.readMeta(), true
		case "projects":
			if projects {
				return errors.New("two lists of projects")
			}
			err, projects = r.readProjects(each), true
		default:
			var skip json.RawMessage
			err = r.dec.Decode(&skip)
		}
		if err != nil {
			return err
		}
	}
	if _, err := r.dec.Token(); err != nil {
		return r.broken(err)
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end")
	}
	if !meta || !projects {
		return errors.New("no meta or no projects")
	}
	return nil
}

func (r *RootReader) readMeta() error {
	var meta struct {
		APIVersion string `json:"api-version"`
		LastSerial serial `json:"_last-serial"`
	}
	if err := r.dec.Decode(&meta); err != nil {
		return r.broken(err)
	}
	r.serial = int64(meta.LastSerial)
	return checkVersion(meta.APIVersion)
}

func (r *RootReader) readProjects(each func(RootProject) error) error {
	open, err := r.dec.Token()
	if err != nil {
		return r.broken(err)
	}
	if open != json.Delim('[') {
		return errors.New("projects is not a list")
	}
	for r.dec.More() {
		var raw struct {
			Name       string `json:"name"`
			LastSerial serial `json:"_last-serial"`
		}
		if err := r.dec.Decode(&raw); err != nil {
			return r.broken(err)
		}
		p := RootProject{Name: raw.Name, LastSerial: int64(raw.LastSerial)}
		if !ValidName(p.Name) {
			if r.nRefuse++; len(r.refused) < 5 {
				r.refused = append(r.refused, fmt.Sprintf("%.60q", p.Name))
			}
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
	if _, err := r.dec.Token(); err != nil {
		return r.broken(err)
	}
	return nil
}

// broken names the likely cause of an unreadable page.
func (r *RootReader) broken(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset <= 1 {
		return fmt.Errorf("not JSON: does a portal or proxy answer in upstream's place? %w", err)
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
