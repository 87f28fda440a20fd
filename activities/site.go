package activities

import (
	"context"
	"time"

	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/site"
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
			if data, err := mirror.Keyring(target.Mirror); err == nil && len(data) <= maxKeyring {
				if out.Keyrings == nil {
					out.Keyrings = map[string][]byte{}
				}
				out.Keyrings[name] = data
			}
		}
	}
	return out, nil
}

func (s *Sync) survey(ctx context.Context, t Target, out *site.Mirror) error {
	m := s.of(ctx, t, new(pulse))
	defer m.Close()
	if err := m.Read(); err != nil {
		return err
	}
	return m.Survey(out)
}

// WriteSite writes the region's status page and client files, if they are due.
func (r *Regions) WriteSite(_ context.Context, in SiteInput) (SiteWritten, error) {
	in.Status.Region = in.Region.Name
	files, err := mirror.ClientFiles(in.Region, in.Mirrors, in.Keyrings, in.Region.Dir)
	if err != nil {
		files = nil // they stay as they are while a keyring is missing
	}
	wrote, err := site.Write(site.Options{Dir: in.Region.Site, Status: in.Status, StaleAfter: time.Duration(in.Region.StaleAfter),
		Files: files, Now: time.Now().UTC().Truncate(time.Second)})
	return SiteWritten{Written: wrote}, translate(err)
}
