package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
	"mirrorcycle/mirrorspec"
)

// Cell is an AFS cell, as this host reaches it.
type Cell struct {
	afsadmin.Cell
	AFS    mirrorspec.AFS
	Listen func() (net.PacketConn, error) // opens the socket that asks file servers; a UDP socket if nil
}

const cell = "afs"

// Examine does the checks of a cell; those that need the database come only if it answers.
func (c *Cell) Examine(ctx context.Context, want []afsadmin.Volume) []Finding {
	all := []Finding{c.Tools(exec.LookPath)}
	if all[0].Status != OK {
		return all
	}
	all = append(all, c.Database(ctx, want[0].Name))
	all = append(all, c.Clocks(ctx)...)
	all = append(all, c.Tickets(ctx)...)
	if all[1].Status != OK {
		return all
	}
	all = append(all, c.MayRelease(ctx, want)...)
	all = append(all, c.Volumes(ctx, want)...)
	return append(all, c.AnybodyMayRead(ctx, want)...)
}

// Tools checks that the programs are there that releases run.
func (c *Cell) Tools(look func(string) (string, error)) Finding {
	need := []string{"vos"}
	if !c.Localauth {
		need = append(need, "k5start", "aklog")
	}
	var missing []string
	for _, p := range need {
		if _, err := look(p); err != nil {
			missing = append(missing, p)
		}
	}
	var err error
	if len(missing) > 0 {
		err = &fault.Error{Kind: fault.Config, Op: "doctor: look for programs", Err: fmt.Errorf("not in PATH: %s", strings.Join(missing, ", ")), Advice: "install openafs-client, openafs-krb5 and kstart"}
	}
	return finding(cell, "programs", err, strings.Join(need, ", ")+" are there")
}

// Database checks that the volume location database answers.
func (c *Cell) Database(ctx context.Context, volume string) Finding {
	_, err := c.Entry(ctx, volume)
	if err != nil {
		err = &fault.Error{Kind: fault.KindOf(err), Op: "doctor: ask the database servers of", Subject: c.Name, Err: err,
			Advice: "check CellServDB or the cell's DNS records, and UDP port 7003 to the servers"}
	}
	return finding(cell, "database", err, "the volume location database of "+c.Name+" answers")
}

// Clocks compares the database servers' clocks with this host's. File servers
// do not tell theirs to anybody; Kerberos refuses tickets five minutes off.
func (c *Cell) Clocks(ctx context.Context) []Finding {
	text, err := c.Run(ctx, "cat", "/etc/openafs/CellServDB")
	servers := DatabaseServers(text, c.Name)
	if err != nil || len(servers) == 0 {
		return []Finding{{cell, "clocks", Unknown, "no CellServDB here names the database servers of " + c.Name, ""}}
	}
	var all []Finding
	for _, s := range servers {
		before := time.Now()
		out, err := c.Run(ctx, "udebug", "-server", s.String(), "-port", "7003")
		there, ok := ServerTime(out)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			all = append(all, Finding{cell, "clock of " + s.String(), Unknown, "udebug is not installed", ""})
		case err != nil:
			all = append(all, finding(cell, "clock of "+s.String(), &fault.Error{Kind: fault.Unavailable, Op: "doctor: ask", Subject: s.String(), Err: err,
				Advice: "check that the database server runs, or take it out of CellServDB"}, ""))
		case !ok:
			all = append(all, Finding{cell, "clock of " + s.String(), Unknown, "udebug did not tell its time", ""})
		default:
			all = append(all, compareClocks(cell, "clock of "+s.String(), there, before.Truncate(time.Second), time.Now()))
		}
	}
	return all
}

// DatabaseServers reads the addresses of a cell's database servers from a CellServDB:
//
//	>example.org    #comment
//	192.0.2.1       #afsdb1.example.org
func DatabaseServers(text []byte, cell string) []netip.Addr {
	var all []netip.Addr
	ours := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		l, _, _ := strings.Cut(lines.Text(), "#")
		if name, ok := strings.CutPrefix(l, ">"); ok {
			f := strings.Fields(name)
			ours = len(f) > 0 && f[0] == cell
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(l), "[]")); ours && err == nil {
			all = append(all, a)
		}
	}
	return all
}

// ServerTime reads what udebug prints of a server's clock, in UTC: "Host's 192.0.2.1 time is Sun Nov 22 17:18:49 2026"
func ServerTime(out []byte) (time.Time, bool) {
	for l := range strings.Lines(string(out)) {
		_, text, ok := strings.Cut(l, " time is ")
		if at, err := time.Parse("Mon Jan _2 15:04:05 2006", strings.TrimSpace(text)); ok && strings.HasPrefix(l, "Host's") && err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// Tickets checks that the keytabs give tickets and AFS tokens.
func (c *Cell) Tickets(ctx context.Context) []Finding {
	if c.Localauth {
		return []Finding{{cell, "tickets", Unknown, "the cell's own key is used; whether it is here, the right to release tells", ""}}
	}
	var all []Finding
	done := map[string]bool{}
	for _, p := range []struct{ principal, keytab string }{{c.AFS.WritePrincipal, c.AFS.WriteKeytab}, {c.Principal, c.Keytab}} {
		if p.principal == "" || done[p.principal+p.keytab] {
			continue
		}
		done[p.principal+p.keytab] = true
		_, err := c.Run(ctx, "k5start", "-q", "-t", "-f", p.keytab, p.principal, "--", "true")
		if err != nil && fault.KindOf(err) == fault.Unavailable {
			err = &fault.Error{Kind: fault.Config, Op: "doctor: get a ticket for", Subject: p.principal, Err: err, Advice: "check that this user may read " + p.keytab + ", krb5.conf, the clock, and klist -k"}
		}
		all = append(all, finding(cell, "ticket of "+p.principal, err, "its keytab gives a ticket and a token"))
	}
	return all
}

// Nothing can have these: the checks of rights name them, and only who has the right hears so.
const (
	noVolume      = "4294967294"
	noTransaction = "0"
)

// MayRelease checks that the release principal is in the UserList of a
// database server and of all file servers that a release changes. It asks for
// a lock on a volume and the end of a transaction that cannot exist: without
// the right, that is refused before anybody looks.
func (c *Cell) MayRelease(ctx context.Context, want []afsadmin.Volume) []Finding {
	_, err := c.Change(ctx, "lock", "-id", noVolume)
	all := []Finding{privilege("right to change the database", err, "no such entry")}
	asked := map[string]bool{}
	for _, v := range want {
		servers := []string{v.Server}
		for _, s := range v.Sites {
			servers = append(servers, s.Server)
		}
		for _, s := range servers {
			if s == "" || asked[s] {
				continue
			}
			asked[s] = true
			_, err := c.Change(ctx, "endtrans", "-server", s, "-transaction", noTransaction)
			all = append(all, privilege("right to release at "+s, err, "No such file or directory"))
		}
	}
	return all
}

// privilege judges the answer to a question that is refused in any case.
func privilege(what string, err error, wanted string) Finding {
	switch {
	case err != nil && !errors.Is(err, fault.Denied) && strings.Contains(err.Error(), wanted):
		return finding(cell, what, nil, "the release principal has it")
	case err == nil:
		return Finding{cell, what, Unknown, "vos did not refuse what cannot be", ""}
	case strings.Contains(err.Error(), "permission"):
		err = &fault.Error{Kind: fault.Denied, Op: "doctor: ask for a right", Err: err, Advice: "put the release principal into the UserList of that server (bos adduser), or check that it got a token"}
	}
	return finding(cell, what, err, "")
}

// Volumes compares the cell with what setup would make.
func (c *Cell) Volumes(ctx context.Context, want []afsadmin.Volume) []Finding {
	steps, err := c.Missing(ctx, want)
	if err != nil {
		return []Finding{finding(cell, "volumes", err, "")}
	}
	missing := map[string]bool{}
	var all []Finding
	for _, s := range steps {
		missing[s.Volume] = true
		advice := strings.Join(s.Command, " ")
		if s.Tool != afsadmin.Hand {
			advice = "starter setup --volumes, or " + advice
		}
		all = append(all, Finding{cell, "volume " + s.Volume, Problem, s.Missing, advice})
	}
	for _, v := range want {
		if !missing[v.Name] {
			all = append(all, finding(cell, "volume "+v.Name, nil, "it is as the spec wants it"))
		}
	}
	return all
}

const readTime = 20 * time.Second

// AnybodyMayRead checks that every read-only site lets clients without a token read its volume.
func (c *Cell) AnybodyMayRead(ctx context.Context, want []afsadmin.Volume) []Finding {
	var conn net.PacketConn
	var err error
	if c.Listen != nil {
		conn, err = c.Listen()
	}
	var client *afsread.Client
	if err == nil {
		client, err = afsread.New(conn)
	}
	if err != nil {
		return []Finding{finding(cell, "readers", err, "")}
	}
	defer client.Close()
	var all []Finding
	for _, v := range want {
		e, err := c.Entry(ctx, v.Name)
		if err != nil || e == nil || e.RO == 0 {
			continue // Volumes has said so
		}
		for _, s := range e.Sites {
			if s.ReadOnly {
				all = append(all, readers(ctx, client, v.Name, e.RO, s))
			}
		}
	}
	return all
}

func readers(ctx context.Context, client *afsread.Client, name string, id uint32, s vos.Site) Finding {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	subject := fmt.Sprintf("readers of %s at %s-%s", name, s.Server, s.Partition)
	_, err := client.Volume(s.Server, id).ReadFile(ctx, tree.ServedPath, 1<<20)
	switch {
	case errors.Is(err, fault.Gone) && s.State == vos.NotReleased:
		return finding(cell, subject, nil, "nothing was released to it yet")
	case errors.Is(err, afsread.ErrNoVolume):
		return finding(cell, subject, &fault.Error{Kind: fault.Config, Op: "doctor: read", Subject: name, Err: err, Advice: "starter region rebuild"}, "")
	case errors.Is(err, fault.Gone):
		return finding(cell, subject, nil, "it answers, and has no generation yet")
	case errors.Is(err, fault.Denied):
		return finding(cell, subject, &fault.Error{Kind: fault.Denied, Op: "doctor: read", Subject: name, Err: errors.New("clients without a token may not"),
			Advice: "fs setacl -dir DIRECTORY -acl system:anyuser rl, on every directory; then a release"}, "")
	}
	return finding(cell, subject, err, "it lets everybody read")
}
