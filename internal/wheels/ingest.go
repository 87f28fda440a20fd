package wheels

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

const (
	maxWheel = 2 << 30 // bytes of a wheel
	maxLog   = 4 << 20 // bytes of a log; the rest is cut off

	maxMessage = 1000 // bytes of a failure's message
	maxLibrary = 200  // bytes of a library's name
)

// Delivery is what a build says of itself.
type Delivery struct {
	Attempt string // the inbox
	Class   string // of the failure, "" if there is a wheel
	Message string
	File    string // name in the inbox of the wheel, as it was built
	SHA256  string
	Log     string // name in the inbox of the log, "" if there is none
	// Static is not the builder's word: the source promises the same dependencies on
	// every platform.
	Static bool
}

// Ingest takes a delivery in: a wheel is proved again, gets its build tag and
// is kept; what came of the build is recorded. It may be called again for the
// same delivery, and for a job that another attempt has done: the first counts.
func (s Store) Ingest(platform string, platforms []Platform, index Pages, job Job, d Delivery) (Record, error) {
	log, err := s.Read(platform)
	if err != nil {
		return Record{}, err
	}
	d = d.checked()
	e := log[job.Pin]
	facts := factsOf(platforms, platform)
	switch {
	case s.has(e.Built) && e.Built.Source == job.SHA256 && (!e.Rebuild && stands(e.Built, facts) || e.Built.Attempt == d.Attempt && d.Attempt != ""):
		return *e.Built, s.clear(platform, d)
	case e.Failed != nil && e.Failed.Attempt == d.Attempt && d.Attempt != "":
		return *e.Failed, s.clear(platform, d)
	}
	r := Record{Pin: job.Pin, Source: job.SHA256, Attempt: d.Attempt, State: Built}
	if r.Log, err = s.keepLog(platform, d); err != nil {
		return r, err
	}
	if d.Class == "" {
		err = s.keepWheel(platform, platforms, index, job, d, &r)
		if kind := fault.KindOf(err); kind == fault.Unproved || kind == fault.Malformed || kind == fault.Hostile {
			d.Class, d.Message = string(kind), err.Error()
		} else if err != nil {
			return r, err
		}
	}
	if d.Class != "" {
		if r, err = s.failure(index, job, d, e, r.Log); err != nil {
			return r, err
		}
		r.Facts = &facts
	}
	if err := s.append(platform, r); err != nil {
		return r, err
	}
	return r, s.clear(platform, d)
}

func (s Store) keepLog(platform string, d Delivery) (string, error) {
	if d.Log == "" {
		return "", nil
	}
	in, err := s.open(platform, d, d.Log)
	if fault.KindOf(err) != "" {
		return "", nil // a build without a log is no worse for it
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxLog))
	if err != nil {
		return "", fmt.Errorf("wheels: read log: %w", err)
	}
	temp, digest, _, err := s.copyIn("logs", strings.NewReader(fault.Text(string(text))), 2*maxLog)
	if err != nil {
		os.Remove(temp)
		return "", err
	}
	return digest, durable.Move(temp, s.blob("logs", digest))
}

// keepWheel proves a copy of the delivered wheel, not what the builder may
// still be writing to, and keeps it.
func (s Store) keepWheel(platform string, platforms []Platform, index Pages, job Job, d Delivery, r *Record) error {
	in, err := s.open(platform, d, d.File)
	if err != nil {
		return err
	}
	defer in.Close()
	if st, err := in.Stat(); err != nil || st.Size() > maxWheel {
		return &fault.Error{Kind: fault.Hostile, Op: "wheels: open delivery", Subject: d.File, Err: errors.Join(err, errors.New("larger than 2 GB"))}
	}
	temp, digest, size, err := s.copyIn("built", in, maxWheel)
	defer os.Remove(temp)
	if err != nil {
		return err
	}
	if digest != d.SHA256 {
		return &fault.Error{Kind: fault.Unproved, Op: "wheels: prove", Subject: d.File, Err: fmt.Errorf("it has SHA-256 %s, its builder said %s", digest, d.SHA256)}
	}
	f, err := os.Open(temp)
	if err != nil {
		return fmt.Errorf("wheels: prove: %w", err)
	}
	defer f.Close()
	facts := factsOf(platforms, platform)
	if err := prove(f, size, d, job.Pin, facts, r); err != nil {
		return err
	}
	page, err := index(job.Name)
	if err != nil {
		return err
	}
	if r.File, err = s.name(d.File, digest, page); err != nil {
		return err
	}
	r.Facts = &facts
	r.SHA256, r.Size = digest, size
	return durable.Move(temp, s.blob("built", digest))
}

// failure is the record of a build that failed. A source that is mended, or a
// requirement that is met, makes it due before its time.
func (s Store) failure(index Pages, job Job, d Delivery, e Entry, log string) (r Record, err error) {
	r = Record{Pin: job.Pin, Source: job.SHA256, Attempt: d.Attempt, Log: log, State: Failed, Class: d.Class, Message: fault.Line(d.Message, maxMessage),
		Next: s.now().Add(Backoff(e.Attempts + 1)), Known: e.Failed != nil && e.Failed.Class == d.Class && e.Failed.Source == job.SHA256}
	switch d.Class {
	case BadSource:
		r.Path = job.Path // the index mirror looks at it in its next cycle
	case Lacking:
		r.Lacks = lacks(r.Message)
		r.Saw, err = offers(index, r.Lacks)
	}
	return r, err
}

func factsOf(platforms []Platform, name string) wheel.Platform {
	for _, p := range platforms {
		if p.Name == name {
			return p.Facts
		}
	}
	return wheel.Platform{}
}

func prove(f *os.File, size int64, d Delivery, pin Pin, facts wheel.Platform, r *Record) error {
	w, err := wheel.Inspect(f, size, d.File)
	if err == nil {
		err = w.IsFor(pin.Name, pin.Version, facts)
	}
	if err != nil {
		return err
	}
	report, err := wheel.Audit(f, size)
	if err != nil {
		return err
	}
	for _, name := range report.External {
		r.Libraries = append(r.Libraries, fault.Line(name, maxLibrary))
	}
	// Tags promise what their author thought of: what is in the wheel decides.
	r.Compiled, r.ByPython = report.Compiled, report.ByPython || !d.Static
	r.Shared = !r.Compiled && !r.ByPython && !slices.ContainsFunc(w.Filename.Tags, func(t wheel.Tag) bool { return !t.Universal() })
	r.RequiresPython = w.Metadata.RequiresPython
	sum := sha256.Sum256(w.RawMeta)
	r.Metadata, r.MetadataSize = hex.EncodeToString(sum[:]), int64(len(w.RawMeta))
	return nil
}
