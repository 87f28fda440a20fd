package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/sdist"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/internal/wheels"
	"mirrorcycle/mirrorspec"
)

// Facts is what a platform is.
type Facts struct {
	Python  string `json:"python"`
	Machine string `json:"machine"`
	Libc    string `json:"libc"`
	Version string `json:"version"` // of the libc
}

// PlatformInput names one platform of a wheels mirror.
type PlatformInput struct {
	Target   Target              `json:"target"`
	Platform mirrorspec.Platform `json:"platform"`
}

// WheelPlanInput asks which wheels to build for a platform.
type WheelPlanInput struct {
	Target   Target `json:"target"`
	Platform string `json:"platform"`
	Facts    *Facts `json:"facts,omitempty"` // as its build host says; without them what it said before holds
	Alone    bool   `json:"alone,omitempty"` // wait for no other platform
}

// WheelPlanned counts the builds. They are in a list under Digest.
type WheelPlanned struct {
	Digest  string         `json:"digest,omitempty"`
	Builds  int            `json:"builds"`
	Waiting int            `json:"waiting"`       // pins that another platform builds first
	Unknown bool           `json:"unknown"`       // nobody has said yet what the platform is
	Ask     bool           `json:"ask,omitempty"` // it was said long ago: its root may have got another Python
	States  map[string]int `json:"states,omitempty"`
}

// BuildInput builds one wheel.
type BuildInput struct {
	Target   Target              `json:"target"`
	Platform mirrorspec.Platform `json:"platform"`
	Facts    Facts               `json:"facts"`
	Plan     string              `json:"plan"`
	Job      int                 `json:"job"` // counted from 0
	// Attempt is what the workflow calls the build; a dash and the number of the
	// activity's attempt follow in the inbox's name.
	Attempt string `json:"attempt,omitempty"`
}

// Issued reports whether a delivery is of the build that the workflow called so.
func (d Delivered) Issued(build string) bool {
	n, ok := strings.CutPrefix(d.Attempt, build+"-")
	return ok && n != "" && len(n) < 10 && strings.Trim(n, "0123456789") == ""
}

// Delivered is what became of a build; its files are in the attempt's inbox.
type Delivered struct {
	Attempt string `json:"attempt,omitempty"`
	Pin     string `json:"pin,omitempty"`
	Class   string `json:"class,omitempty"` // of the failure, "" if there is a wheel
	Message string `json:"message,omitempty"`
	File    string `json:"file,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Log     string `json:"log,omitempty"`
	Seconds int64  `json:"seconds,omitempty"`
}

// IngestInput takes a delivery in.
type IngestInput struct {
	Target    Target    `json:"target"`
	Platform  string    `json:"platform"`
	Plan      string    `json:"plan"`
	Job       int       `json:"job"`
	Delivered Delivered `json:"delivered"`
}

// Ingested is the pin's state from now on.
type Ingested struct {
	Pin   string `json:"pin"`
	State string `json:"state"`
	Class string `json:"class,omitempty"`
	Known bool   `json:"known,omitempty"` // it failed as it did the time before
}

// python is the one that the spec says a platform has.
func python(in WheelPlanInput) string {
	for _, p := range in.Target.Mirror.Platforms {
		if p.Name == in.Platform {
			return p.Python
		}
	}
	return ""
}

// WheelPlan lists the wheels to build for a platform.
func WheelPlan(in WheelPlanInput) (WheelPlanned, error) {
	var out WheelPlanned
	store := states(in.Target)
	if in.Facts != nil {
		if err := store.SetFacts(in.Platform, wheel.Platform(*in.Facts)); err != nil {
			return out, err
		}
	}
	facts, err := store.Facts(in.Platform)
	if err != nil || facts == (wheel.Platform{}) {
		out.Unknown = err == nil
		return out, err
	}
	out.Ask = in.Facts == nil && (store.Ask(in.Platform) || facts.Python != python(in))
	x, done, err := openIndex(in.Target)
	if err != nil {
		return out, err
	}
	defer done()
	platforms, err := store.Platforms(platformNames(in.Target), wanted(in.Target))
	if err != nil {
		return out, err
	}
	rows, err := store.Survey(x, platforms, in.Platform, in.Alone)
	if err != nil {
		return out, err
	}
	if out.States, err = count(in, rows); err != nil {
		return out, err
	}
	out.Builds, out.Waiting = out.States[string(wheels.Due)], out.States[string(wheels.Waiting)]
	if out.Builds == 0 {
		return out, nil
	}
	if err := store.Ready(in.Platform, time.Duration(in.Target.Mirror.BuildTimeout)); err != nil {
		return out, err
	}
	out.Digest, err = store.PutJobs(in.Platform, wheels.Jobs(rows))
	return out, err
}

// count counts a platform's pins by state, those that are for others only included.
func count(in WheelPlanInput, rows []wheels.Row) (map[string]int, error) {
	others, err := elsewhere(in.Target)
	states := map[string]int{}
	for _, r := range append(rows, others[in.Platform]...) {
		states[string(r.State)]++
	}
	return states, err
}

// Ingest proves and keeps what a build delivered, and records what became of it.
func Ingest(in IngestInput) (Ingested, error) {
	store := states(in.Target)
	job, err := jobOf(store, in.Platform, in.Plan, in.Job)
	if err != nil {
		return Ingested{}, err
	}
	x, done, err := openIndex(in.Target)
	if err != nil {
		return Ingested{}, err
	}
	defer done()
	platforms, err := store.Platforms(platformNames(in.Target), wanted(in.Target))
	if err != nil {
		return Ingested{}, err
	}
	d := in.Delivered
	r, err := store.Ingest(in.Platform, platforms, x.Page, job, wheels.Delivery{Attempt: d.Attempt, Class: d.Class, Message: d.Message,
		File: d.File, SHA256: d.SHA256, Log: d.Log, Static: d.Class == "" && static(in.Target, job)})
	return Ingested{Pin: job.Pin.String(), State: string(r.State), Class: r.Class, Known: r.Known}, err
}

// static reports whether the source of a job, which is in the index mirror,
// promises the same dependencies on every platform. What cannot be read does not.
func static(t Target, job wheels.Job) bool {
	cfg, err := indexTree(t)
	if err != nil {
		return false
	}
	f, err := os.Open(filepath.Join(cfg.Dir, filepath.FromSlash(job.Path)))
	if err != nil {
		return false
	}
	defer f.Close()
	needs, err := sdist.Read(f, job.File)
	return err == nil && needs.Static
}

func jobOf(store wheels.Store, platform, plan string, n int) (wheels.Job, error) {
	jobs, err := store.Jobs(platform, plan)
	if err != nil {
		return wheels.Job{}, err
	}
	if n < 0 || n >= len(jobs) {
		return wheels.Job{}, fmt.Errorf("mirror: build %d of %d of plan %s", n, len(jobs), plan)
	}
	return jobs[n], nil
}
