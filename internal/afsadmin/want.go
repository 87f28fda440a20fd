package afsadmin

import (
	"path/filepath"
	"strings"

	"mirrorcycle/mirrorspec"
)

// MaxName is how long a volume's name may be; AFS adds ".readonly" to it.
const MaxName = 22

// stateVolume is the name of the volume of state, behind the prefix.
const stateVolume = "state"

// Wanted returns the volumes that a spec wants: one for each mirror that goes
// to an AFS region, and one for state if that is in AFS.
func Wanted(spec *mirrorspec.Spec) []Volume {
	if spec.AFS == nil {
		return nil
	}
	a := *spec.AFS
	blank := Volume{Server: a.Server, Partition: a.Partition, Quota: int64(a.Quota) >> 10}
	if a.Auth == mirrorspec.AuthKeytab {
		blank.Writer = User(a.WritePrincipal)
	}
	var all []Volume
	for _, m := range spec.Mirrors {
		v := blank
		v.Name, v.Mirror, v.Mount = a.Volume(m.Name), m.Name, spec.TreeDir(m.Name)
		for _, r := range spec.RegionsOf(m.Name) {
			if r.AFS != nil {
				v.Sites = append(v.Sites, Site{r.Name, r.AFS.Server, r.AFS.Partition})
			}
		}
		if len(v.Sites) == 0 {
			continue
		}
		all = append(all, v)
		for _, dir := range m.Volumes { // mounted in the tree, so after it
			part := v
			part.Name, part.Mount = a.PartVolume(m.Name, dir), filepath.Join(v.Mount, dir)
			all = append(all, part)
		}
	}
	if len(all) > 0 && InAFS(spec.Storage.State) {
		v := blank
		v.Name, v.Mount = a.Volume(stateVolume), spec.Storage.State
		all = append(all, v)
	}
	return all
}

// InAFS tells whether a path is in AFS.
func InAFS(name string) bool { return strings.HasPrefix(name, "/afs/") }

// User returns the AFS user of a Kerberos principal: "service/mirror@REALM"
// is service.mirror there.
func User(principal string) string {
	name, _, _ := strings.Cut(principal, "@")
	return strings.Replace(name, "/", ".", 1)
}
