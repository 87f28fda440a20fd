package afsadmin

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mirrorcycle/internal/vos"
)

// Plan returns the steps from what there is to what is wanted, in the order
// in which they can be done; none if nothing is missing. It never takes away:
// what a volume has too much is left to a person.
func Plan(want []Volume, have State) []Step {
	var steps []Step
	names := map[string]string{}
	for _, v := range want {
		p := planner{Volume: v, have: have}
		if other, twice := names[v.Name]; twice {
			p.hand(fmt.Sprintf("both %s and %s would have this volume: rename the mirror", v.Mount, other))
		} else if names[v.Name] = v.Mount; len(v.Name) > MaxName {
			p.hand(fmt.Sprintf("the name has more than %d characters: write a shorter volume-prefix, or rename the mirror", MaxName))
		} else {
			p.plan()
		}
		steps = append(steps, p.steps...)
	}
	return steps
}

// planner collects the steps of one volume.
type planner struct {
	Volume
	have  State
	steps []Step
}

func (p *planner) add(tool Tool, missing string, command ...string) {
	p.steps = append(p.steps, Step{Volume: p.Name, Missing: missing, Command: command, Tool: tool})
}

func (p *planner) hand(missing string, command ...string) { p.add(Hand, missing, command...) }

func (p *planner) plan() {
	found, ok := p.have.Volumes[p.Name]
	switch {
	case ok && found.Entry.RW == 0:
		p.hand("the database knows it, but no read-write volume: restore it (vos restore, vos convertROtoRW)")
		return
	case ok:
		p.quota(found)
	case p.Mirror == "" && p.have.Mounts[p.Mount].Exists: // an operator may have a volume of another name for it
		if m := p.have.Mounts[p.Mount]; m.Asked && m.Volume == "" {
			p.hand(p.Mount + " is a directory of a volume that may be released: give state a volume of its own")
		}
		return
	case p.Server == "" || p.Partition == "":
		p.hand("it does not exist, and the spec does not say where to make it: write afs.server and afs.partition")
		return
	default:
		p.add(Vos, "it does not exist", "vos", "create", "-server", p.Server, "-partition", p.Partition, "-name", p.Name,
			"-maxquota", strconv.FormatInt(p.Quota, 10))
	}
	p.mount()
	p.rights()
	if p.Mirror == "" {
		p.neverReleased(found)
		return
	}
	p.sites(found)
	p.published()
}

func (p *planner) quota(f Found) {
	switch {
	case f.RW == nil || f.RW.Quota == p.Quota || p.Quota == 0:
	case f.RW.Used > p.Quota:
		p.hand(fmt.Sprintf("it holds %d KB, more than the quota of %d KB that the spec wants: raise afs.quota", f.RW.Used, p.Quota))
	default:
		p.add(Vos, fmt.Sprintf("its quota is %d KB, not %d KB", f.RW.Quota, p.Quota), "vos", "setfields", "-id", p.Name,
			"-maxquota", strconv.FormatInt(p.Quota, 10))
	}
}

func (p *planner) mount() {
	m := p.have.Mounts[p.Mount]
	command := []string{"fs", "mkmount", "-dir", p.Mount, "-vol", p.Name}
	switch {
	case m.Asked && m.Volume == p.Name:
	case m.Asked && m.Exists:
		p.hand(fmt.Sprintf("%s is there and is no mount point of it: move it away", p.Mount), command...)
	case m.Asked:
		p.add(FS, "it is not mounted at "+p.Mount, command...)
	case !m.Exists:
		p.hand("it is not mounted at "+p.Mount+" (on a host with AFS in the kernel)", command...)
	}
}

// The rights of those who write a volume, and of everybody else.
const (
	writing = "rlidwk"
	reading = "rl"
	anyUser = "system:anyuser"
)

func (p *planner) rights() {
	m := p.have.Mounts[p.Mount]
	want := []string{}
	lacks := func(who, rights string) bool {
		return slices.ContainsFunc([]byte(rights), func(r byte) bool { return !strings.Contains(m.Rights[who], string(r)) })
	}
	if p.Writer != "" && lacks(p.Writer, writing) {
		want = append(want, p.Writer, writing)
	}
	if p.Mirror != "" && lacks(anyUser, reading) {
		want = append(want, anyUser, reading)
	}
	if len(want) == 0 {
		return
	}
	command := append([]string{"fs", "setacl", "-dir", p.Mount, "-acl"}, want...)
	switch {
	case m.Asked:
		p.add(FS, "rights are missing in "+p.Mount, command...)
	case !m.Exists:
		p.hand("rights are missing in "+p.Mount, command...)
	}
}

// sites adds what regions lack, and makes the first release of a volume that
// nothing was committed into yet: later ones are the cycle's, which knows what was verified.
func (p *planner) sites(f Found) {
	fresh, some := true, false
	for _, s := range f.Entry.Sites {
		fresh, some = fresh && (!s.ReadOnly || s.State == vos.NotReleased), some || s.ReadOnly
	}
	for _, s := range p.Sites {
		addrs := p.have.Addresses[s.Server]
		if len(addrs) == 0 {
			p.hand(fmt.Sprintf("region %s: this host knows no address of server %s", s.Region, s.Server))
			continue
		}
		at := slices.IndexFunc(f.Entry.Sites, func(h vos.Site) bool { return h.ReadOnly && slices.Contains(addrs, h.Server) })
		switch {
		case at < 0:
			some = true
			p.add(Vos, "region "+s.Region+" has no site", "vos", "addsite", "-server", s.Server, "-partition", s.Partition, "-id", p.Name)
		case f.Entry.Sites[at].Partition != s.Partition: // a server has at most one read-only copy of a volume
			p.hand(fmt.Sprintf("region %s: its site is on partition %s of %s, not on %s: change the spec, or move it",
				s.Region, f.Entry.Sites[at].Partition, s.Server, s.Partition),
				"vos", "remove", "-server", s.Server, "-partition", f.Entry.Sites[at].Partition, "-id", p.Name+".readonly")
		}
	}
	switch {
	case f.Entry.Locked:
		p.hand("its entry is locked: find out who works on it (vos status)", "vos", "unlock", "-id", p.Name)
	case fresh && !f.Written && some:
		p.add(Vos, "it was never released", "vos", "release", "-id", p.Name)
	}
}

func (p *planner) neverReleased(f Found) {
	for _, s := range f.Entry.Sites {
		if s.ReadOnly {
			p.hand("it holds state, which clients must not see, and has a read-only site", "vos", "remove", "-server", s.Server.String(),
				"-partition", s.Partition, "-id", p.Name+".readonly")
		}
	}
}

// published wants the mount point in the read-only directory as well. The
// volume that holds it may hold other people's changes: its release is theirs.
func (p *planner) published() {
	if m := p.have.Mounts[p.Mount]; m.Exists && !m.Published {
		p.hand(fmt.Sprintf("clients do not see %s yet: release the volume that holds the mount point, if it has read-only sites", readOnly(p.Mount)),
			"vos", "release", "-id", "VOLUME-OF-"+path.Dir(p.Mount))
	}
}

// readOnly returns the path by which clients read: /afs/CELL/… of /afs/.CELL/….
func readOnly(name string) string {
	if rest, ok := strings.CutPrefix(name, "/afs/."); ok {
		return "/afs/" + rest
	}
	return name
}

// at finds the read-only site at one of the addresses.
func at(e vos.Entry, addrs []netip.Addr, partition string) (vos.Site, bool) {
	i := slices.IndexFunc(e.Sites, func(s vos.Site) bool {
		return s.ReadOnly && s.Partition == partition && slices.Contains(addrs, s.Server)
	})
	if i < 0 {
		return vos.Site{}, false
	}
	return e.Sites[i], true
}
