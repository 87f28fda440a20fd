package doctor_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"mirrorcycle/internal/afsadmin"
	"mirrorcycle/internal/doctor"
)

// refusing is a network to file servers that refuse everything with one code.
type refusing struct {
	code uint32
	in   chan []byte
	from net.Addr
}

func (r *refusing) ReadFrom(b []byte) (int, net.Addr, error) {
	data, ok := <-r.in
	if !ok {
		return 0, nil, net.ErrClosed
	}
	return copy(b, data), r.from, nil
}

func (r *refusing) WriteTo(b []byte, to net.Addr) (int, error) {
	const dataPacket, abort = 1, 4
	if b[20] == dataPacket {
		reply := append([]byte(nil), b[:28]...)
		reply[20], reply[21] = abort, 0
		r.from = to
		r.in <- binary.BigEndian.AppendUint32(reply, r.code)
	}
	return len(b), nil
}

func (r *refusing) Close() error                     { close(r.in); return nil }
func (r *refusing) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (r *refusing) SetDeadline(time.Time) error      { return nil }
func (r *refusing) SetReadDeadline(time.Time) error  { return nil }
func (r *refusing) SetWriteDeadline(time.Time) error { return nil }

// TestReaders: a site whose server has not the volume has clients fail, whatever the server calls that.
func TestReaders(t *testing.T) {
	const entry = "cat <<'E'\nmirror.debian\n    RWrite: 1     ROnly: 2\n    number of sites -> 2\n       server 192.0.2.1 partition /vicepa RW Site\n       server 192.0.2.2 partition /vicepa RO Site\nE\n"
	for _, c := range []struct {
		code   uint32
		status doctor.Status
		text   string
	}{
		{2, doctor.OK, "it answers, and has no generation yet"},
		{103, doctor.Problem, "starter region rebuild"},
		{111, doctor.Problem, "starter region rebuild"},
		{13, doctor.Problem, "system:anyuser rl"},
		{106, doctor.Problem, "off line"},
	} {
		cell := doctor.Cell{Cell: afsadmin.Cell{Name: "example.org", Enter: []string{"sh", "-c", entry}},
			Listen: func() (net.PacketConn, error) { return &refusing{code: c.code, in: make(chan []byte, 100)}, nil }}
		all := cell.AnybodyMayRead(t.Context(), []afsadmin.Volume{{Name: "mirror.debian"}})
		if len(all) != 1 {
			t.Fatalf("%d: %v", c.code, all)
		}
		want(t, all[0], c.status, c.text)
	}
}
