// Package mirrorspec says what a mirror is: it reads the TOML spec, with every
// fault and its position in one go, into values that are also workflow inputs.
//
// A Spec is validated before anything starts. As JSON it is the input of Temporal
// workflows, so its fields and their tags are only ever added to, never renamed
// or removed; durations, sizes, rates and shares stand there as strings. Parse
// applies every default, so that readers of a Spec never need to know one and a
// recorded history shows what really ran.
//
// No secret stands in a spec: upstream credentials come from netrc or client
// certificate files, which a spec names by path only.
package mirrorspec

import (
	"path"
	"slices"
)

// Spec is a whole spec file.
type Spec struct {
	Cycle   Cycle    `json:"cycle"`
	Storage Storage  `json:"storage"`
	Limits  Limits   `json:"limits"`
	Regions []Region `json:"regions,omitempty"`
	Mirrors []Mirror `json:"mirrors"`
	AFS     *AFS     `json:"afs,omitempty"` // present if a region is an AFS site
	Notify  *Notify  `json:"notify,omitempty"`
}

// Cycle says when and how patiently the spec is passed over.
type Cycle struct {
	Name        string   `json:"name"`                // part of workflow and schedule IDs
	Every       Duration `json:"every,omitempty"`     // default 2h, zero only if Cron is set
	Cron        string   `json:"cron,omitempty"`      // instead of Every
	Jitter      Duration `json:"jitter,omitempty"`    // default none; below Every
	TimeZone    string   `json:"time_zone,omitempty"` // IANA name for Cron; default UTC
	CatchUp     Duration `json:"catch_up"`            // how late a missed cycle still starts; default 1d, at least 10s (the server's minimum)
	MirrorWait  Duration `json:"mirror_wait"`         // how long a cycle waits for a mirror before it calls it late; default 6h
	ReleaseWait Duration `json:"release_wait"`        // the same for a release; default 30m
	// WheelWindow is how long a cycle waits for builds of wheels before it
	// releases what is there; default 30m, zero not to wait at all.
	WheelWindow Duration `json:"wheel_window,omitempty"`
}

// Notify says who is told when a mirror or region is held, fails, lags or recovers.
type Notify struct {
	// URLFile is the path of a file that holds the webhook's URL: who knows the
	// URL of a webhook may post to it, so it is a secret and no part of a spec.
	URLFile string   `json:"url_file"`
	Lag     Duration `json:"lag"` // how old what a tree or region has may be before it lags; default 1d
}

// Storage is where the trees and their state live.
type Storage struct {
	Name         string   `json:"name"`          // its task queue is sync-<name>
	Root         string   `json:"root"`          // directory of the trees
	State        string   `json:"state"`         // default <root>/.state
	URL          string   `json:"url,omitempty"` // where regions pull from; no trailing slash
	MinFree      Size     `json:"min_free"`      // default 1GB
	RollbackKeep Duration `json:"rollback_keep"` // how long old generations stay for rollback; default 7d
}

// Limits bound what the mirrors ask of upstreams and of the network.
type Limits struct {
	Downloads int  `json:"downloads"`      // at once in all; default 16
	PerHost   int  `json:"per_host"`       // at once per upstream host; default 8
	Rate      Rate `json:"rate,omitempty"` // of all downloads together; zero for unlimited
}

// Region is a place that clients read from: a directory or an AFS site.
type Region struct {
	Name        string   `json:"name"`
	Dir         string   `json:"dir,omitempty"`   // directory region
	AFS         *Site    `json:"afs,omitempty"`   // AFS region
	URL         string   `json:"url"`             // what clients use; no trailing slash
	Probe       []string `json:"probe"`           // URLs of its front ends; default the URL alone
	Keep        Duration `json:"keep"`            // how long old generations stay as snapshots; default 3d
	IndexMaxAge Duration `json:"index_max_age"`   // how long clients and caches may use an index; default 10m
	Pull        bool     `json:"pull,omitempty"`  // the region's own host pulls from Storage.URL
	State       string   `json:"state,omitempty"` // state of a directory region, on its host; default <dir>/.state
	Site        string   `json:"site,omitempty"`  // directory of its status page and client files, outside the mirrors; default <dir>-site, none for AFS
	// StaleAfter is how long after a probe last saw all that is newest the region counts as healthy; default 1d.
	StaleAfter Duration `json:"stale_after,omitempty"`
}

// Site is the read-only site of an AFS region.
type Site struct {
	Server    string `json:"server"`    // host name or address of the file server
	Partition string `json:"partition"` // "a" to "iv", as vos writes it without /vicep
}

// Kind is the kind of a mirror's upstream.
type Kind string

// The kinds of mirrors.
const (
	Apt    Kind = "apt"
	Yum    Kind = "yum"
	PyPI   Kind = "pypi"
	Wheels Kind = "wheels"
)

// What to do when upstream serves other bytes under a known path.
const (
	Refuse  = "refuse"
	Replace = "replace"
)

// Tolerate is what to do, instead of Refuse, about an object that an apt index
// names and upstream does not have: leave it out alone.
const Tolerate = "tolerate"

// AllIndexes stands for every kind of index that clients of binary packages ask
// for, and AllLanguages for every translation.
const (
	AllIndexes   = "all"
	AllLanguages = "all"
	Sources      = "sources" // the kind of index that sources = true adds
)

// AptIndexes are the kinds of index that indexes may name.
var AptIndexes = []string{AllIndexes, "packages", "translations", "contents", "dep11", "cnf", "other", Sources, "udebs", "installer", "pdiffs"}

// What proves a yum mirror: the signature of repomd.xml, of each package, both, or nothing.
const (
	ByRepomd   = "repomd"
	ByPackages = "packages"
	ByBoth     = "both"
	ByNothing  = "none"
)

// Mirror is one upstream of one kind, kept in one tree. Fields after Regions are
// empty except for the kinds that their comments name.
type Mirror struct {
	Name       string   `json:"name"`
	Kind       Kind     `json:"kind"`
	Upstream   []string `json:"upstream,omitempty"`    // apt, yum, pypi; in order of failover, no trailing slash
	Grace      Duration `json:"grace"`                 // how long a dropped object stays after its index is superseded; default apt 72h, yum 96h, pypi and wheels 24h
	Guard      Guard    `json:"guard"`                 // default 20% and 100
	Regions    []string `json:"regions,omitempty"`     // default all of the spec
	Volumes    []string `json:"volumes,omitempty"`     // directories of the tree that are AFS volumes of their own
	Netrc      string   `json:"netrc,omitempty"`       // path of a netrc file with upstream's credentials
	ClientCert string   `json:"client_cert,omitempty"` // path of a PEM certificate for upstream
	ClientKey  string   `json:"client_key,omitempty"`  // path of its PEM key
	CAFile     string   `json:"ca_file,omitempty"`     // path of PEM authorities to trust instead of the system's

	Keyring       string   `json:"keyring,omitempty"`       // apt, yum; path of the OpenPGP keys that may sign
	Architectures []string `json:"architectures,omitempty"` // apt (required), yum (default all)
	OnConflict    string   `json:"on_conflict,omitempty"`   // apt, yum; Refuse (default) or Replace

	Suites     []string `json:"suites,omitempty"`     // apt; one that ends in "/" is a flat repository
	Components []string `json:"components,omitempty"` // apt; may be empty if all suites are flat
	// SuiteComponents are, for apt, the components of suites that have their own.
	SuiteComponents map[string][]string `json:"suite_components,omitempty"`
	Indexes         []string            `json:"indexes,omitempty"`      // apt; kinds of index, default ["all"]; has "sources" for sources = true
	Translations    []string            `json:"translations,omitempty"` // apt; languages, default ["all"], [] for none
	Missing         string              `json:"missing,omitempty"`      // apt, yum; what an object does that upstream lacks: Refuse (default) or Tolerate

	IgnoreValidUntil bool `json:"ignore_valid_until,omitempty"` // apt; a Release past its Valid-Until is mirrored all the same

	ByHash bool `json:"by_hash,omitempty"` // apt; keep by-hash files, default true

	Repos      []string `json:"repos,omitempty"`      // yum; directories below upstream that hold repodata, with dnf's variables, default ["."]
	Releases   []string `json:"releasever,omitempty"` // yum; values of $releasever
	Metalink   string   `json:"metalink,omitempty"`   // yum; URL of a metalink for each repository, in place of upstream
	MirrorList string   `json:"mirrorlist,omitempty"` // yum; or of a list of servers
	Proof      string   `json:"proof,omitempty"`      // yum; ByRepomd, ByPackages, ByBoth, ByNothing; default by what upstream offers
	// yum; what is mirrored of each repository: names and globs, with Exclude and KeepLatest.
	// Without any of these the metadata is upstream's, byte for byte.
	Packages       []string `json:"packages,omitempty"`
	LeaveSources   bool     `json:"leave_sources,omitempty"`
	LeaveDebuginfo bool     `json:"leave_debuginfo,omitempty"`

	Projects   []string `json:"projects,omitempty"`    // pypi; normalised names and globs
	Exclude    []string `json:"exclude,omitempty"`     // pypi; the same; yum: names and globs of packages
	KeepLatest int      `json:"keep_latest,omitempty"` // pypi, yum; newest final versions per project, or per package and architecture; zero for all
	// With KeepLatest: whether pre-releases, and local versions of releases that have
	// files without a local label, are left out although they are new enough.
	LeavePreReleases   bool `json:"leave_pre_releases,omitempty"`
	LeaveLocalVersions bool `json:"leave_local_versions,omitempty"`
	// IndexURLs are, for pypi, URLs of the index root itself, where Upstream is above
	// its simple/.
	IndexURLs []string `json:"index_urls,omitempty"`

	// Requirements are, for pypi, absolute paths of requirements files or names of
	// wheels mirrors; for wheels with GitHub, the one path inside the repository.
	Requirements []string `json:"requirements,omitempty"`

	Index       string     `json:"index,omitempty"`       // wheels; name of the pypi mirror to build from
	GitHub      string     `json:"github,omitempty"`      // wheels; "owner/repository" of the requirements
	File        string     `json:"file,omitempty"`        // wheels; or the path of a requirements file
	URL         string     `json:"url,omitempty"`         // wheels; or the URL of one
	Refs        []string   `json:"refs,omitempty"`        // wheels with GitHub; branches or tags
	Constraints string     `json:"constraints,omitempty"` // wheels; like Requirements: in the repository, a path, or a URL
	Platforms   []Platform `json:"platforms,omitempty"`   // wheels

	Sandbox      string   `json:"sandbox,omitempty"`       // wheels; Bubblewrap (default) or NoSandbox
	BuildTimeout Duration `json:"build_timeout,omitempty"` // wheels; of one build, default 1h
	BuildMemory  Size     `json:"build_memory,omitempty"`  // wheels; of one build, default 4GB
	Builds       int      `json:"builds,omitempty"`        // wheels; at once on each platform, default 4
	// BuildProcesses, BuildDisk and BuildLog bound one build of a wheels mirror:
	// processes and threads, bytes in its private /tmp, bytes that it prints. 0 is
	// the sandbox's default.
	BuildProcesses int  `json:"build_processes,omitempty"`
	BuildDisk      Size `json:"build_disk,omitempty"`
	BuildLog       Size `json:"build_log,omitempty"`
	// BuildConstraints are lines that bound what builds are made with, such as
	// "setuptools<81" (wheels): the index mirrors what meets them, builds install it.
	BuildConstraints []string `json:"build_constraints,omitempty"`
}

// What builds of wheels run in.
const (
	Bubblewrap = "bubblewrap"
	NoSandbox  = "none"
)

// Guard is the size of a removal that needs a person: more than Share and Count.
type Guard struct {
	Share Share `json:"share"`
	Count int   `json:"count"`
}

// Platform is a system that wheels are built for.
type Platform struct {
	Name   string `json:"name"`   // its task queue is wheels-<name>
	Root   string `json:"root"`   // root file system to build in
	Python string `json:"python"` // "3.11"
}

// How a worker authenticates to AFS.
const (
	AuthKeytab    = "keytab"    // principals with keytabs, on any host
	AuthLocalauth = "localauth" // the cell's key, on a server host only
)

// AFS is the cell that AFS regions belong to.
type AFS struct {
	Cell             string `json:"cell"`
	Auth             string `json:"auth"`                        // AuthKeytab (default) or AuthLocalauth
	WritePrincipal   string `json:"write_principal,omitempty"`   // who writes trees; required with AuthKeytab
	WriteKeytab      string `json:"write_keytab,omitempty"`      // path; required with AuthKeytab
	ReleasePrincipal string `json:"release_principal,omitempty"` // who releases; default WritePrincipal
	ReleaseKeytab    string `json:"release_keytab,omitempty"`    // path; default WriteKeytab
	VolumePrefix     string `json:"volume_prefix"`               // default "mirror."

	// PurgeWithin is how long deleted objects may stay in the sites for want of
	// a release that has something new; default 7d, zero for ever.
	PurgeWithin Duration `json:"purge_within,omitempty"`
	// RemoveSiteAfter is how long a site may miss releases before it is taken
	// out of the volume's sites; default zero, never.
	RemoveSiteAfter Duration `json:"remove_site_after,omitempty"`

	// Where setup makes volumes, and how large they may grow.
	Server    string `json:"server,omitempty"`    // file server of the read-write volumes
	Partition string `json:"partition,omitempty"` // its partition, as vos writes it without /vicep
	Quota     Size   `json:"quota,omitempty"`     // of each volume; default 100GB, at most 2TB
}

// Volume returns the name of the volume that holds a mirror's tree.
func (a AFS) Volume(mirror string) string { return a.VolumePrefix + mirror }

// PartVolume returns the name of the volume that holds a directory of a
// mirror's tree; its last element stands for it.
func (a AFS) PartVolume(mirror, dir string) string { return a.Volume(mirror) + "." + path.Base(dir) }

// Mirror returns the mirror of that name.
func (s Spec) Mirror(name string) (*Mirror, bool) {
	for i := range s.Mirrors {
		if s.Mirrors[i].Name == name {
			return &s.Mirrors[i], true
		}
	}
	return nil, false
}

// Region returns the region of that name.
func (s Spec) Region(name string) (*Region, bool) {
	for i := range s.Regions {
		if s.Regions[i].Name == name {
			return &s.Regions[i], true
		}
	}
	return nil, false
}

// GoesTo tells whether the mirror is released to that region.
func (m Mirror) GoesTo(region string) bool { return slices.Contains(m.Regions, region) }

// MirrorsOf returns the names of the mirrors that are released to a region.
func (s Spec) MirrorsOf(region string) (names []string) {
	for _, m := range s.Mirrors {
		if m.GoesTo(region) {
			names = append(names, m.Name)
		}
	}
	return names
}

// RegionsOf returns the regions that a mirror is released to, in the spec's order;
// none for an unknown mirror.
func (s Spec) RegionsOf(mirror string) []Region {
	m, ok := s.Mirror(mirror)
	if !ok {
		return nil
	}
	var regions []Region
	for _, r := range s.Regions {
		if m.GoesTo(r.Name) {
			regions = append(regions, r)
		}
	}
	return regions
}

// TreeDir returns the directory of a mirror's tree.
func (s Spec) TreeDir(mirror string) string { return path.Join(s.Storage.Root, mirror) }

// StateDir returns the directory of a mirror's state.
func (s Spec) StateDir(mirror string) string { return path.Join(s.Storage.State, mirror) }
