package wheels

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

const (
	// lookAgain is for how long after "the index has none" a wheel of the index
	// still takes the place of an own one: projects publish wheels days after the source.
	lookAgain = 14 * 24 * time.Hour
	firstWait = 2 * time.Hour // after a failure, doubled with each
	maxWait   = 7 * 24 * time.Hour
)

func normalize(name string) string { return simpleindex.Normalize(name) }

func validPin(p Pin) bool {
	return simpleindex.ValidName(p.Name) && simpleindex.ValidVersion(p.Version)
}

// Pages returns the index's page of a project, nil if it has none.
type Pages func(name string) (*simpleindex.Project, error)

// Input is what the states follow from.
type Input struct {
	Now       time.Time
	Platforms []Platform // in the spec's order
	Page      Pages
	// Has reports whether the own wheel of a record is kept.
	Has func(*Record) bool
	// Whole reports whether a file of the index mirror has that SHA-256; nil: nobody looks.
	Whole func(path, digest string) bool
	// Alone waits for no other platform.
	Alone bool
}

// Platform is what is known of one platform.
type Platform struct {
	Name   string
	Facts  wheel.Platform // the zero value if nobody has said yet
	Wanted []Pin
	Log    Log
}

// Row is the state of a pin on a platform, with what belongs to it.
type Row struct {
	Pin
	Platform string    `json:"platform"`
	State    State     `json:"state"`
	File     string    `json:"file,omitempty"` // upstream, built
	From     string    `json:"from,omitempty"` // built: the platform that it was built on, if another
	Class    string    `json:"class,omitempty"`
	Message  string    `json:"message,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Next     time.Time `json:"next,omitzero"` // failed
	Until    time.Time `json:"until,omitzero"`
	Attempts int       `json:"attempts,omitempty"`
	Log      string    `json:"log,omitempty"` // SHA-256 of the last build's log

	Libraries []string `json:"libraries,omitempty"`

	Own    *Record           `json:"-"` // built, or due and to be replaced
	Source *simpleindex.File `json:"-"` // due, waiting
	urgent int               // due: the lower, the sooner
}

// Survey returns the state of every pin that is wanted on the named platform:
// first those to build, the most urgent first and of these the largest source, as
// a long build that begins last is waited for; then the others by name.
func Survey(in Input, platform string) ([]Row, error) {
	s := surveyor{Input: in, ranks: map[string]wheel.Ranks{}, fresh: map[string]map[string]bool{}}
	for _, p := range in.Platforms {
		s.learn(p)
	}
	i := slices.IndexFunc(in.Platforms, func(p Platform) bool { return p.Name == platform })
	if i < 0 {
		return nil, nil
	}
	me := &in.Platforms[i]
	var rows []Row
	for _, pin := range me.Wanted {
		row, err := s.row(me, pin)
		if err == nil && row.State == Due && row.Own == nil && !in.Alone {
			err = s.wait(me, &row)
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(b.weight(), a.weight()), strings.Compare(a.Name, b.Name), simpleindex.CompareVersions(a.Version, b.Version))
	})
	return slices.CompactFunc(rows, func(a, b Row) bool { return a.Pin == b.Pin }), nil
}

func (r Row) order() int {
	switch r.State {
	case Due:
		return r.urgent
	case Waiting:
		return 10
	}
	return 20
}

// weight tells how long a build may take: the bytes of its source.
func (r Row) weight() int64 {
	if r.State != Due {
		return 0
	}
	return r.Source.Size
}

type surveyor struct {
	Input
	ranks map[string]wheel.Ranks
	fresh map[string]map[string]bool // platform to the projects that were ever built there
}

func (s *surveyor) learn(p Platform) {
	if p.Facts != (wheel.Platform{}) {
		s.ranks[p.Name] = wheel.RanksOf(p.Facts)
	}
	known := map[string]bool{}
	for pin, e := range p.Log {
		if e.Built != nil {
			known[pin.Name] = true
		}
	}
	s.fresh[p.Name] = known
}

// row is the state of a pin, as if there were no other platform to wait for.
func (s *surveyor) row(p *Platform, pin Pin) (Row, error) {
	r := Row{Pin: pin, Platform: p.Name}
	page, err := s.Page(pin.Name)
	if err != nil {
		return r, err
	}
	e := p.Log[pin]
	if e.Failed != nil {
		r.Log, r.Attempts = e.Failed.Log, e.Attempts
	}
	own, from := s.own(p, pin, e)
	file, upstream := s.usable(p, page, pin)
	switch {
	case page != nil && page.Status == simpleindex.Quarantined:
		r.State, r.Class, r.Message = Failed, string(page.Status), "the index hides the project: "+page.StatusReason
	case e.Skipped != nil && (e.Skipped.Until.IsZero() || s.Now.Before(e.Skipped.Until)):
		r.State, r.Reason, r.Until = Skipped, e.Skipped.Reason, e.Skipped.Until
	case upstream && (own == nil || s.Now.Sub(e.since(own)) < lookAgain):
		r.State, r.File = Upstream, file
	case own != nil && !(e.Rebuild && from == ""):
		r.State, r.Own, r.From, r.File, r.Log, r.Libraries = Built, own, from, own.File, own.Log, own.Libraries
		r.Attempts = 0
	default:
		if r.Own = own; own != nil {
			r.File, r.Libraries = own.File, own.Libraries
		}
		return r, s.unbuilt(p, page, e, &r)
	}
	return r, nil
}

// unbuilt is the state of a pin that there is no wheel of, or one to be replaced.
func (s *surveyor) unbuilt(p *Platform, page *simpleindex.Project, e Entry, r *Row) error {
	if e.Failed == nil || !s.Now.Before(e.Failed.Next) {
		s.due(p, page, e, r)
		return nil
	}
	gained, err := s.gained(p, page, e.Failed)
	if err != nil || !gained {
		r.fail(e.Failed)
		return err
	}
	s.due(p, page, e, r)
	return nil
}

func (e Entry) since(own *Record) time.Time {
	if e.First.IsZero() {
		return own.At
	}
	return e.First
}

func (r *Row) fail(f *Record) {
	r.State, r.Class, r.Message, r.Next = Failed, f.Class, f.Message, f.Next
}

func (s *surveyor) due(p *Platform, page *simpleindex.Project, e Entry, r *Row) {
	if r.Source = source(page, r.Pin); r.Source == nil {
		r.State, r.Class, r.Message = Failed, NoSource, "the index has no source distribution of it"
		return
	}
	r.State = Due
	switch {
	case e.Failed != nil:
		r.urgent = 2
	case s.fresh[p.Name][r.Name]:
		r.urgent = 0 // a changed pin
	default:
		r.urgent = 1
	}
}

// own finds the wheel that was built for the platform, or on another one for all.
func (s *surveyor) own(p *Platform, pin Pin, e Entry) (own *Record, from string) {
	if s.Has(e.Built) && s.stands(p, e.Built) {
		return e.Built, ""
	}
	for _, other := range s.Platforms {
		r := other.Log[pin].Built
		if other.Name == p.Name || r == nil || !r.Shared || r.Facts == nil || !s.fits(p, r.File) || !s.Has(r) {
			continue
		}
		return r, other.Name
	}
	return nil, ""
}

func (s *surveyor) fits(p *Platform, file string) bool {
	f, err := wheel.ParseFilename(file)
	if err != nil {
		return false
	}
	_, ok := s.ranks[p.Name].Best(f.Tags)
	return ok
}

// usable finds a wheel of the index that the platform can use.
func (s *surveyor) usable(p *Platform, page *simpleindex.Project, pin Pin) (string, bool) {
	if page == nil {
		return "", false
	}
	for _, f := range page.Files {
		name, err := wheel.ParseFilename(f.Filename)
		if err != nil || !wheel.SameVersion(name.Version, pin.Version) {
			continue
		}
		if _, ok := s.ranks[p.Name].Best(name.Tags); ok {
			return f.Filename, true
		}
	}
	return "", false
}

// source chooses the source distribution of a pin: PEP 625 knows .tar.gz only,
// older ones may be in other archives.
func source(page *simpleindex.Project, pin Pin) *simpleindex.File {
	if page == nil {
		return nil
	}
	for _, suffix := range []string{".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"} {
		for i := range page.Files {
			f := &page.Files[i]
			if !strings.HasSuffix(f.Filename, suffix) {
				continue
			}
			if v, ok := simpleindex.FileVersion(page.Name, f.Filename); ok && wheel.SameVersion(v, pin.Version) {
				return f
			}
		}
	}
	return nil
}

// wait lets a pin wait for its home: the one platform that builds it first, as
// its wheel may be for all. Homes are spread over the platforms that want a pin.
func (s *surveyor) wait(me *Platform, r *Row) error {
	var homes []*Platform
	for i := range s.Platforms {
		p := &s.Platforms[i]
		if slices.Contains(p.Wanted, r.Pin) {
			homes = append(homes, p)
		}
	}
	if len(homes) < 2 {
		return nil
	}
	h := fnv.New32a()
	h.Write([]byte(r.Pin.String()))
	home := homes[h.Sum32()%uint32(len(homes))]
	if home == me {
		return nil
	}
	there, err := s.row(home, r.Pin)
	if err == nil && there.State == Due {
		r.State = Waiting
	}
	return err
}

// Backoff is how long a pin waits after its n-th failure in a row, counted from 1.
func Backoff(n int) time.Duration {
	wait := firstWait
	for range n - 1 {
		if wait *= 2; wait >= maxWait {
			return maxWait
		}
	}
	return wait
}

// anyHost stands for the index mirror in the URLs of its pages, which are relative.
const anyHost = "http://index.example.org/"

// objectPath is where a file of a page lies below the index mirror's tree.
func objectPath(f simpleindex.File) string {
	return simpleindex.ObjectPath(f.URL, f.SHA256, f.Filename)
}
