package activities

import (
	"context"
	"time"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// SurveyInput asks where the mirrors of a cycle stand.
type SurveyInput struct {
	Targets []Target    `json:"targets"`
	Status  site.Status `json:"status"`           // what the cycle knows: outcomes and what regions serve
	Remote  []string    `json:"remote,omitempty"` // mirrors whose keyrings are wanted on other hosts
}

// Surveyed is the status with what the trees say, for every region's page.
type Surveyed struct {
	Status   site.Status       `json:"status"`
	Keyrings map[string][]byte `json:"keyrings,omitempty"` // by mirror; what a client trusts is no secret
}

// SiteInput writes the status page of one region.
type SiteInput struct {
	Region   mirrorspec.Region   `json:"region"`
	Mirrors  []mirrorspec.Mirror `json:"mirrors"` // of the region
	Status   site.Status         `json:"status"`
	Keyrings map[string][]byte   `json:"keyrings,omitempty"` // else they are read on this host
}

// SiteWritten says whether the page was due.
type SiteWritten struct {
	Written bool `json:"written"`
}

// surveyed is how many generations of a mirror the page shows.
const surveyed = 12

// maxKeyring is what crosses Temporal of one keyring at most.
const maxKeyring = 256 << 10

// Survey fills in what the trees say about the mirrors of a cycle. A tree that
// cannot be read is a problem on the page, and no error.
func (s *Sync) Survey(ctx context.Context, in SurveyInput) (Surveyed, error) {
	out := Surveyed{Status: in.Status}
	for _, target := range in.Targets {
		m := out.Status.Mirror(target.Mirror.Name)
		if m == nil {
			continue
		}
		if err := s.survey(ctx, target, m); err != nil && m.Error == "" {
			m.FaultKind, m.Error = FaultOf(translate(err))
		}
	}
	for _, target := range in.Targets {
		for _, name := range in.Remote {
			if name != target.Mirror.Name {
				continue
			}
			if data, err := clientfiles.ReadKeyring(target.Mirror.Keyring); err == nil && len(data) <= maxKeyring {
				if out.Keyrings == nil {
					out.Keyrings = map[string][]byte{}
				}
				out.Keyrings[name] = data
			}
		}
	}
	return out, nil
}

func (s *Sync) survey(ctx context.Context, target Target, m *site.Mirror) error {
	t, err := tree.Read(s.config(ctx, target))
	if err != nil {
		return err
	}
	defer t.Close()
	st, err := status(t)
	if err != nil {
		return err
	}
	m.Committed, m.Time, m.Hold, m.FreeBytes = st.Committed, st.Time, st.Hold, st.FreeBytes
	m.Serial, m.Date = st.Upstream.Serial, st.Upstream.Date
	m.Objects, m.Bytes, m.Retained, m.Generation = st.Objects, st.Bytes, st.Retained, st.Sealed
	lacks, err := lacking(t, target.Mirror.Kind, maxLacks)
	if err != nil {
		return err
	}
	m.Lacks = lacksOf(lacks)
	numbers, err := t.Generations()
	if err != nil {
		return err
	}
	for _, n := range numbers[max(len(numbers)-surveyed, 0):] {
		g, err := t.Generation(n)
		if err != nil {
			return err
		}
		if n == st.Sealed {
			m.Time = g.Time
		}
		c := g.Changes
		m.Generations = append(m.Generations, site.Generation{Number: n, Time: g.Time, Added: c.Added, AddedBytes: c.AddedBytes, Dropped: c.Dropped, Replaced: c.Replaced, Indexes: c.Indexes})
	}
	return nil
}

// WriteSite writes the region's status page and client files, if they are due.
func (r *Regions) WriteSite(_ context.Context, in SiteInput) (SiteWritten, error) {
	in.Status.Region = in.Region.Name
	wrote, err := site.Write(site.Options{Dir: in.Region.Site, Status: in.Status, StaleAfter: time.Duration(in.Region.StaleAfter),
		Files: clientFiles(in), Now: time.Now().UTC().Truncate(time.Second)})
	return SiteWritten{Written: wrote}, translate(err)
}

// clientFiles is nil, for leaving them as they are, while a keyring is missing or
// holds what must not be shown: the sources that trust it must not go.
func clientFiles(in SiteInput) map[string][]byte {
	o := clientfiles.Options{Region: in.Region, Mirrors: in.Mirrors, Keyrings: map[string][]byte{}}
	for _, m := range in.Mirrors {
		if m.Keyring == "" { // only signed kinds have one
			continue
		}
		data, ok := in.Keyrings[m.Name]
		if !ok {
			var err error
			if data, err = clientfiles.ReadKeyring(m.Keyring); err != nil {
				return nil
			}
		}
		o.Keyrings[m.Name] = data
	}
	return clientfiles.For(o)
}
