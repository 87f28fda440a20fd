package afs_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/afslab"
	"mirrorcycle/internal/doctor"
	"mirrorcycle/mirrorspec"
)

// doctorRig is a cell as a worker on the writer reaches it.
func doctorRig(t *testing.T, cell afsadmin.Cell) *doctor.Cell {
	c := afslab.Up(t)
	return &doctor.Cell{Cell: cell,
		AFS: mirrorspec.AFS{Cell: afslab.Name, WritePrincipal: "mirror", WriteKeytab: afslab.Keytab("mirror")},
		Listen: func() (net.PacketConn, error) {
			return c.ListenPacket(context.Background(), afslab.Writer, "0.0.0.0:0")
		}}
}

func wantFindings(t *testing.T, all []doctor.Finding, n int, s doctor.Status, text string) {
	t.Helper()
	if len(all) != n {
		t.Errorf("%d findings, want %d: %v", len(all), n, all)
	}
	for _, f := range all {
		if f.Status != s || !strings.Contains(f.String(), text) {
			t.Errorf("%s\nwant %s, and %q in it", f, s, text)
		}
	}
}

// TestDoctorOfACell: every check of a cell passes where it should, and fails where it should.
func TestDoctorOfACell(t *testing.T) {
	t.Parallel()
	cell, want := setupRig(t, "setup.doctor", afslab.FS1, afslab.FS2)
	d, ctx := doctorRig(t, cell), t.Context()

	wantFindings(t, []doctor.Finding{d.Database(ctx, "setup.doctor")}, 1, doctor.OK, "answers")
	wantFindings(t, d.Clocks(ctx), 1, doctor.OK, "clock of "+cellAddr(t, afslab.DB))
	wantFindings(t, d.Tickets(ctx), 2, doctor.OK, "a ticket and a token")
	wantFindings(t, d.MayRelease(ctx, want), 4, doctor.OK, "the release principal has it")
	wantFindings(t, d.Volumes(ctx, want), 4, doctor.Problem, "starter setup --volumes, or vos ")

	made(t, cell, want)
	wantFindings(t, d.Volumes(ctx, want), 1, doctor.OK, "as the spec wants it")
	// vos create gives rights to administrators only, and this cell's client has no fs to give more.
	wantFindings(t, d.AnybodyMayRead(ctx, want), 2, doctor.Problem, "system:anyuser rl")
	public := newRig(t, afslab.Options{})
	public.released(t, public.generation(t, "a"))
	readable := []afsadmin.Volume{{Name: public.volume.Name}}
	wantFindings(t, d.AnybodyMayRead(ctx, readable), 3, doctor.OK, "it lets everybody read")
	if _, err := cell.Rebuild(ctx, "at-fs1", want); err != nil {
		t.Fatal(err)
	}
	empty := 0
	for _, f := range d.AnybodyMayRead(ctx, want) {
		if f.Status == doctor.OK && strings.Contains(f.Found, "nothing was released") {
			empty++
		}
	}
	if empty != 1 {
		t.Errorf("%d sites are empty, want 1", empty)
	}

	locks := public.vos(t, "listvldb", "-locked", "-noauth", "-quiet")
	if strings.Contains(locks, "setup.doctor") {
		t.Errorf("the doctor locked something:\n%s", locks)
	}
}

// TestDoctorMissesRights: a principal that may get tokens and nothing else, and one without a key.
func TestDoctorMissesRights(t *testing.T) {
	t.Parallel()
	cell, want := setupRig(t, "setup.nobody", afslab.FS1)
	cell.Principal, cell.Keytab = "nobody", afslab.Keytab("nobody")
	d := doctorRig(t, cell)
	wantFindings(t, d.MayRelease(t.Context(), want), 3, doctor.Problem, "bos adduser")
	d.Keytab, d.AFS.WriteKeytab = "/etc/keytabs/none.keytab", "/etc/keytabs/none.keytab"
	wantFindings(t, d.Tickets(t.Context()), 2, doctor.Problem, "none.keytab")
	d.Name = "other.example.org"
	wantFindings(t, []doctor.Finding{d.Database(t.Context(), "setup.nobody")}, 1, doctor.Problem, "CellServDB")
	wantFindings(t, d.Clocks(t.Context()), 1, doctor.Unknown, "no CellServDB")
}
