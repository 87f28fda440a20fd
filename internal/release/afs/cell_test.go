package afs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/release/afs"
	"mirrorcycle/internal/tree"
)

// paper is a cell made of files, for states that a real one is hard to bring
// to: entry.<volume> is what vos listvldb prints, release.<volume> a script
// that vos release runs, status.<address> one that vos status does, and held/<address>/<volume ID>/ what a file server has
// of a volume; a directory that is not there is a volume that is not there, and
// a server with the file off does not answer.
type paper struct {
	t   *testing.T
	dir string
}

func newPaper(t *testing.T) *paper {
	t.Helper()
	p := &paper{t, t.TempDir()}
	p.write("vos", `#!/bin/sh
cd "$(dirname "$0")"
shift # vos
echo "$*" >> said
case $1 in
listvldb) cat "entry.$3" ;;
release) [ ! -e "release.$2" ] || . "./release.$2" ;;
status) [ ! -e "status.$3" ] || . "./status.$3" ;;
unlock) sed -i /LOCKED/d "entry.$2" ;;
endtrans) ;;
*) echo "Possible communication failure" >&2; exit 1 ;;
esac
`)
	if err := os.Chmod(filepath.Join(p.dir, "vos"), 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *paper) write(name, text string) {
	p.t.Helper()
	name = filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// asked tells whether vos was run with a command.
func (p *paper) asked(command string) bool {
	data, _ := os.ReadFile(filepath.Join(p.dir, "said"))
	return strings.Contains("\n"+string(data), "\n"+command+" ")
}

// releases counts how often a volume was released.
func (p *paper) releases(volume string) int {
	data, _ := os.ReadFile(filepath.Join(p.dir, "said"))
	return strings.Count(string(data), "release "+volume+" ")
}

// entry writes a volume's entry: read-write at 192.0.2.1, read-only sites at
// 192.0.2.2 and on in these states. Its IDs are id and id+1.
func (p *paper) entry(volume string, id int, states ...string) {
	text := fmt.Sprintf("\n%s\n    RWrite: %d     ROnly: %d\n    number of sites -> %d\n       server 192.0.2.1 partition /vicepa RW Site \n", volume, id, id+1, 1+len(states))
	for i, s := range states {
		text += fmt.Sprintf("       server 192.0.2.%d partition /vicepa RO Site  %s\n", i+2, s)
	}
	p.write("entry."+volume, text)
}

// holds lets a server have a generation of a volume, with its index.
func (p *paper) holds(server string, id int, g *tree.Generation, index string) {
	p.t.Helper()
	data, err := json.Marshal(g.Served)
	if err != nil {
		p.t.Fatal(err)
	}
	at := fmt.Sprintf("held/%s/%d/", server, id)
	p.write(at+tree.ServedPath, string(data))
	p.write(at+"index", index)
}

func (p *paper) options() afs.Options {
	now := time.Now
	return afs.Options{Cell: afs.Cell{Name: "example.org", Localauth: true, Enter: []string{filepath.Join(p.dir, "vos")}}, Volume: "mirror.m", Mirror: "m",
		Tree: "m-1", State: p.t.TempDir(), Policy: backend.Policy{Grace: time.Hour, Every: time.Hour}, Now: now,
		Listen: func() (net.PacketConn, error) {
			return &line{dir: filepath.Join(p.dir, "held"), in: make(chan datagram, 1000), closed: make(chan struct{})}, nil
		}}
}

func (p *paper) publish(o afs.Options, src backend.Source) []backend.Outcome {
	p.t.Helper()
	out, err := afs.New(o).Publish(p.t.Context(), src)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// sealed is a source whose newest generation is verified.
type sealed struct {
	memory
	newest *tree.Generation
}

// next adds a generation of tree m-1 with one index.
func (s *sealed) next(t *testing.T, n int64, index string) *tree.Generation {
	t.Helper()
	m, err := manifest.Write(s.memory, func(yield func(manifest.Entry, error) bool) {
		yield(manifest.Entry{Path: "index", Kind: manifest.Index1, Size: int64(len(index)), Digest: sha256.Sum256([]byte(index))}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.newest = &tree.Generation{Served: tree.Served{Tree: "m-1", Mirror: "m", Number: n, Manifest: m.ID().String()}}
	return s.newest
}

func (s *sealed) Sealed(context.Context) (*tree.Generation, error) { return s.newest, nil }
func (s *sealed) Path(string) string                               { return "" }
func (s *sealed) Index(context.Context, manifest.Digest) (io.ReadCloser, error) {
	return nil, os.ErrNotExist
}
func (s *sealed) Object(context.Context, manifest.Entry) (io.ReadCloser, error) {
	return nil, os.ErrNotExist
}

// line is a network without loss to file servers that have the files below dir.
type line struct {
	dir    string
	in     chan datagram
	closed chan struct{}
	mu     sync.Mutex
	vnodes []string // paths, by vnode less one
}

type datagram struct {
	data []byte
	from net.Addr
}

func (l *line) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-l.in:
		return copy(b, d.data), d.from, nil
	case <-l.closed:
		return 0, nil, net.ErrClosed
	}
}

func (l *line) Close() error                     { close(l.closed); return nil }
func (l *line) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (l *line) SetDeadline(time.Time) error      { return nil }
func (l *line) SetReadDeadline(time.Time) error  { return nil }
func (l *line) SetWriteDeadline(time.Time) error { return nil }

func (l *line) WriteTo(b []byte, to net.Addr) (int, error) {
	const dataPacket, abort, last = 1, 4, 4
	if _, err := os.Stat(filepath.Join(l.dir, to.(*net.UDPAddr).IP.String(), "off")); err == nil {
		return 0, syscall.EHOSTUNREACH
	}
	if b[20] != dataPacket {
		return len(b), nil
	}
	reply := func(seq uint32, kind, flags byte, body []byte) {
		h := bytes.Clone(b[:28])
		binary.BigEndian.PutUint32(h[12:], seq)
		h[20], h[21] = kind, flags
		l.in <- datagram{append(h, body...), to}
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[28+4*i:]) }
	if word(0) != 65537 {
		reply(1, dataPacket, last, nil)
		return len(b), nil
	}
	content, kind, code := l.fetch(to.(*net.UDPAddr).IP.String(), word(1), word(2))
	if code != 0 {
		reply(0, abort, 0, binary.BigEndian.AppendUint32(nil, code))
		return len(b), nil
	}
	answer := append(binary.BigEndian.AppendUint64(nil, uint64(len(content))), content...)
	status := make([]byte, 120)
	binary.BigEndian.PutUint32(status[4:], kind)
	answer = append(answer, status...)
	seq := uint32(1)
	for ; len(answer) > 1400; seq++ {
		reply(seq, dataPacket, 0, answer[:1400])
		answer = answer[1400:]
	}
	reply(seq, dataPacket, last, answer)
	return len(b), nil
}

// fetch returns what a server has of a vnode, or the code that it aborts with.
func (l *line) fetch(server string, volume, vnode uint32) (content []byte, kind, code uint32) {
	const gone, regular, directory = 103, 1, 2
	root := filepath.Join(l.dir, server, fmt.Sprint(volume))
	if _, err := os.Stat(root); err != nil {
		return nil, 0, gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := root
	if vnode > 1 {
		name = l.vnodes[vnode-2]
	}
	if data, err := os.ReadFile(name); err == nil {
		return data, regular, 0
	}
	entries, _ := os.ReadDir(name)
	d := make([]byte, 2048)
	binary.BigEndian.PutUint16(d[2:], 1234)
	slot := 13
	for _, e := range entries {
		l.vnodes = append(l.vnodes, filepath.Join(name, e.Name()))
		h := uint32(0)
		for i := range len(e.Name()) {
			h = h*173 + uint32(e.Name()[i])
		}
		bucket := int(h & 127)
		if bucket != 0 && int32(h) < 0 {
			bucket = 128 - bucket
		}
		at, head := slot*32, d[160+2*bucket:]
		copy(d[at+2:], head[:2])
		binary.BigEndian.PutUint32(d[at+4:], uint32(len(l.vnodes)+1))
		copy(d[at+12:], e.Name())
		binary.BigEndian.PutUint16(head, uint16(slot))
		slot += afsread.Slots(e.Name())
	}
	return d, directory, 0
}
