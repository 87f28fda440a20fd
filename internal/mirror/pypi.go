package mirror

import (
	"strings"

	"mirrorcycle/internal/pypi"
	"mirrorcycle/internal/requirements"
	"mirrorcycle/mirrorspec"
)

// pypiConfig tells files of requirements from wheels mirrors, whose state says
// what they want. Which machine a platform is, the spec does not say.
func pypiConfig(target Target) pypi.Config {
	m := target.Mirror
	cfg := pypi.Config{Upstreams: m.Upstream, Indexes: m.IndexURLs, Projects: m.Projects, Exclude: m.Exclude, KeepLatest: m.KeepLatest,
		LeavePreReleases: m.LeavePreReleases, LeaveLocalVersions: m.LeaveLocalVersions, Workers: target.Limits.Downloads}
	for _, name := range m.Requirements {
		if strings.HasPrefix(name, "/") {
			cfg.Requirements = append(cfg.Requirements, name)
		} else {
			cfg.Wheels = append(cfg.Wheels, Tree(target.Storage, mirrorspec.Mirror{Name: name}).State)
		}
	}
	pythons := map[string]bool{}
	for _, p := range target.Platforms {
		if !pythons[p.Python] {
			pythons[p.Python] = true
			cfg.Environments = append(cfg.Environments, requirements.Linux(p.Python, ""))
		}
	}
	return cfg
}
