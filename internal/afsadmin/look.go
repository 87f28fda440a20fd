package afsadmin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// Look asks the cell and this host's client what there is of the wanted volumes.
func (c Cell) Look(ctx context.Context, want []Volume) (State, error) {
	s := State{Volumes: map[string]Found{}, Addresses: map[string][]netip.Addr{}, Mounts: map[string]Mount{}}
	for _, v := range want {
		e, err := c.Entry(ctx, v.Name)
		if err != nil {
			return s, err
		}
		m := c.mount(ctx, v.Mount)
		if e != nil {
			f := Found{Entry: *e, RW: c.readWrite(ctx, v.Name)}
			f.Written = written(v, m, f.RW)
			s.Volumes[v.Name] = f
		}
		s.Mounts[v.Mount] = m
		for _, site := range v.Sites {
			// A server without an address is a step of the plan, not an error.
			s.Addresses[site.Server], _ = Addresses(ctx, site.Server)
		}
	}
	return s, nil
}

// written tells whether a volume may hold a generation; in doubt it does.
func written(v Volume, m Mount, rw *vos.Instance) bool {
	if m.Exists {
		_, err := tree.ReadServed(v.Mount)
		return !errors.Is(err, os.ErrNotExist)
	}
	return rw == nil || rw.Files > 1
}

// Entry returns the database's entry of a volume, nil if the database says that it has none.
func (c Cell) Entry(ctx context.Context, volume string) (*vos.Entry, error) {
	out, err := c.Ask(ctx, "listvldb", "-name", volume, "-quiet")
	if errors.Is(err, fault.Config) && strings.Contains(err.Error(), "no such entry") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("afsadmin: look up volume %s: %w", volume, err)
	}
	all, err := vos.ParseVLDB(out)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d entries", len(all))
	}
	if err != nil {
		return nil, fmt.Errorf("afsadmin: look up volume %s: %w", volume, err)
	}
	return &all[0], nil
}

// readWrite returns the read-write volume as its server has it, nil if that does not answer or is busy.
func (c Cell) readWrite(ctx context.Context, volume string) *vos.Instance {
	out, err := c.Ask(ctx, "examine", volume, "-format")
	if err != nil {
		return nil
	}
	all, err := vos.ParseExamine(out)
	if err != nil || len(all) == 0 || all[0].Status != "OK" {
		return nil
	}
	return &all[0]
}

// Addresses returns those of a host name or address.
func Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return nil, fmt.Errorf("afsadmin: find server %s: %w", host, err)
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, nil
}

// mount asks the client of a path. A client outside the kernel does not know fs's questions.
func (c Cell) mount(ctx context.Context, name string) Mount {
	var m Mount
	_, err := os.Stat(name)
	m.Exists = err == nil
	_, err = os.Lstat(readOnly(name))
	m.Published = err == nil
	out, err := c.Run(ctx, "fs", "listacl", "-path", filepath.Dir(name))
	if _, parsed := parseACL(out); err != nil || !parsed {
		return m
	}
	m.Asked = true
	// For a mount point that leads nowhere fs answers as well, Stat does not.
	if out, err := c.Run(ctx, "fs", "lsmount", "-dir", name); err == nil {
		m.Volume = parseMount(out)
		m.Exists = true
	}
	if out, err := c.Run(ctx, "fs", "listacl", "-path", name); err == nil {
		m.Rights, _ = parseACL(out)
	}
	return m
}

// parseMount reads fs lsmount: '/afs/x' is a mount point for volume '#mirror.x'
func parseMount(out []byte) string {
	_, rest, ok := strings.Cut(string(out), "is a mount point for volume '")
	name, _, closed := strings.Cut(rest, "'")
	if !ok || !closed || name == "" {
		return ""
	}
	name = strings.TrimSuffix(name[1:], ".") // behind # or %
	if _, after, ok := strings.Cut(name, ":"); ok {
		name = after // cell:volume
	}
	return name
}

// parseACL reads fs listacl:
//
//	Access list for /afs/x is
//	Normal rights:
//	  system:administrators rlidwka
//	Negative rights:
//	  somebody rl
func parseACL(out []byte) (rights map[string]string, ok bool) {
	rights = map[string]string{}
	normal := false
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		switch {
		case strings.HasPrefix(l, "Normal rights:"):
			normal, ok = true, true
		case strings.HasPrefix(l, "Negative rights:"):
			normal = false
		case normal && len(f) == 2 && strings.HasPrefix(l, " "):
			rights[f[0]] = f[1]
		}
	}
	return rights, ok
}
