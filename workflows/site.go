package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mirrorcycle/activities"
	"mirrorcycle/internal/site"
	"mirrorcycle/mirrorspec"
)

// SiteResult is what became of a region's status page.
type SiteResult struct {
	Region    string `json:"region"`
	Written   bool   `json:"written,omitempty"` // false: it was not due
	FaultKind string `json:"fault_kind,omitempty"`
	Error     string `json:"error,omitempty"`
}

// writeSites writes the status page of every region that has one. A page that
// cannot be written is named in the result and changes no outcome: /healthz
// runs out by itself.
func (c *cycle) writeSites(ctx workflow.Context) {
	var regions []mirrorspec.Region
	for _, r := range c.in.Spec.Regions {
		if r.Site != "" {
			regions = append(regions, r)
		}
	}
	if c.in.DryRun || len(regions) == 0 {
		return
	}
	status := siteStatus(c.in.Spec, c.result)
	started := workflow.GetInfo(ctx).WorkflowStartTime
	status.Cycles = []site.Cycle{{Started: started.UTC(), Seconds: workflow.Now(ctx).Sub(started).Round(time.Millisecond).Seconds(), Outcome: string(c.result.Outcome)}}
	ctx = within(ctx, c.ends.report)
	seen, err := survey(ctx, SyncQueue(c.in.Spec.Storage.Name), activities.SurveyInput{Targets: briefs(Targets(c.in.Spec, nil)), Status: status, Remote: remoteKeyrings(c.in.Spec)})
	// A few at a time: each takes the whole status along.
	all, turns := workflow.NewWaitGroup(ctx), workflow.NewSemaphore(ctx, 4)
	c.result.Sites = make([]SiteResult, len(regions))
	for i, r := range regions {
		res := &c.result.Sites[i]
		res.Region = r.Name
		if err != nil {
			res.FaultKind, res.Error = activities.FaultOf(err)
			continue
		}
		in := activities.SiteInput{Region: r, Mirrors: mirrorsOf(c.in.Spec, r.Name), Status: seen.Status}
		if r.Pull {
			in.Keyrings = seen.Keyrings
		}
		all.Go(ctx, func(ctx workflow.Context) {
			if turns.Acquire(ctx, 1) != nil {
				return // cancelled
			}
			defer turns.Release(1)
			got, err := writeSite(ctx, siteQueue(c.in.Spec, r), in)
			res.Written = got.Written
			if err != nil {
				res.FaultKind, res.Error = activities.FaultOf(err)
			}
		})
	}
	all.Wait(ctx)
}

// siteQueue serves what a region's own host sees, or else the storage's hosts.
func siteQueue(spec mirrorspec.Spec, r mirrorspec.Region) string {
	if r.Pull {
		return ReleaseQueue(r.Name)
	}
	return SyncQueue(spec.Storage.Name)
}

func mirrorsOf(spec mirrorspec.Spec, region string) []mirrorspec.Mirror {
	var out []mirrorspec.Mirror
	for _, m := range spec.Mirrors {
		if m.GoesTo(region) {
			out = append(out, activities.Target{Mirror: m}.Brief().Mirror)
		}
	}
	return out
}

// remoteKeyrings are the mirrors that a region on a host of its own serves.
func remoteKeyrings(spec mirrorspec.Spec) []string {
	var out []string
	for _, m := range spec.Mirrors {
		for _, r := range spec.RegionsOf(m.Name) {
			if r.Pull && r.Site != "" && m.Keyring != "" {
				out = append(out, m.Name)
				break
			}
		}
	}
	return out
}

// siteStatus is what a cycle knows about every mirror and region of its spec.
// Mirrors that it left out have no outcome.
func siteStatus(spec mirrorspec.Spec, r CycleResult) site.Status {
	s := site.Status{Cycle: spec.Cycle.Name, Every: spec.Cycle.Every}
	for _, g := range spec.Regions {
		s.Regions = append(s.Regions, site.Region{Name: g.Name, URL: g.URL})
	}
	results := map[string]MirrorResult{}
	for _, m := range r.Mirrors {
		results[m.Mirror] = m
	}
	for _, m := range spec.Mirrors {
		got := results[m.Name]
		out := site.Mirror{Name: m.Name, Kind: m.Kind, Outcome: string(got.Outcome), FaultKind: got.FaultKind, Error: got.Error, Reasons: got.Reasons}
		if got.Outcome == Held {
			out.Plan = got.Approval()
		}
		for _, d := range got.Deferred {
			out.Deferred = append(out.Deferred, site.Note{Unit: d.Unit, Error: d.Error, Known: d.Known})
		}
		served := map[string]RegionResult{}
		for _, reg := range got.Regions {
			served[reg.Region] = reg
		}
		for _, g := range spec.RegionsOf(m.Name) {
			reg := served[g.Name]
			v := site.Served{Region: g.Name, Outcome: string(reg.Outcome), Serves: reg.Serves, FaultKind: reg.FaultKind, Error: reg.Error}
			if reg.Reaped != nil {
				v.Waiting, v.WaitingBytes = reg.Reaped.Waiting, reg.Reaped.WaitingBytes
			}
			out.Regions = append(out.Regions, v)
		}
		s.Mirrors = append(s.Mirrors, out)
	}
	return s
}
