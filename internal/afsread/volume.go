package afsread

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"

	"mirrorcycle/internal/fault"
)

// Calls of a file server (RXAFS).
const (
	opFetchData64        = 65537
	opGiveUpAllCallbacks = 65539
)

// Volume is one volume, or the read-only copy of one, on one server. It
// remembers the directories on the way to the file read last, so reading in
// the order of paths asks for each directory once. Use it from one goroutine.
type Volume struct {
	client *Client
	server netip.AddrPort
	id     uint32
	way    []node // directories from the root down
}

type fid struct{ vnode, unique uint32 }

type node struct {
	name string
	data []byte
}

// Types of a vnode.
const (
	regularFile = 1
	directory   = 2
)

// Volume returns volume id on a server (the numeric ID of the RO or RW volume).
func (c *Client) Volume(server netip.Addr, id uint32) *Volume {
	return c.At(netip.AddrPortFrom(server, Port), id)
}

// At returns a volume on a server that listens on a port of its own.
func (c *Client) At(server netip.AddrPort, id uint32) *Volume {
	return &Volume{client: c, server: server, id: id}
}

// ReadFile returns the content of a file of at most limit bytes. The error is
// fault.Gone if the server says that there is no such file or volume,
// fault.Unavailable if it does not answer or the volume is busy, fault.Denied
// if anonymous clients may not read it.
func (v *Volume) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	err := v.Copy(ctx, name, limitWriter{&b, limit})
	return b.Bytes(), err
}

// Copy writes the content of a file into w.
func (v *Volume) Copy(ctx context.Context, name string, w io.Writer) error {
	f, err := v.find(ctx, name)
	if err == nil {
		var kind uint32
		if kind, err = v.fetch(ctx, f, w); err == nil && kind != regularFile {
			err = &fault.Error{Kind: fault.Malformed, Op: "afsread: read", Subject: name, Err: fmt.Errorf("it is not a regular file (vnode type %d)", kind)}
		}
	}
	if err != nil {
		return fmt.Errorf("afsread: volume %d at %s: read %s: %w", v.id, v.server.Addr(), name, err)
	}
	return nil
}

// Forget drops what is remembered of directories, so that a later read sees the volume anew.
func (v *Volume) Forget() { v.way = nil }

// find walks from the root directory (vnode 1, uniquifier 1) to a file.
func (v *Volume) find(ctx context.Context, name string) (fid, error) {
	parts := strings.Split(path.Clean(name), "/")
	at := fid{1, 1}
	for depth, part := range parts {
		dir := strings.Join(parts[:depth], "/")
		if depth >= len(v.way) || v.way[depth].name != dir {
			v.way = v.way[:min(depth, len(v.way))]
			var b bytes.Buffer
			kind, err := v.fetch(ctx, at, limitWriter{&b, maxDirectory})
			if err != nil {
				return fid{}, err
			}
			if kind != directory {
				return fid{}, &fault.Error{Kind: fault.Malformed, Op: "afsread: look up", Subject: dir, Err: fmt.Errorf("it is not a directory (vnode type %d)", kind)}
			}
			v.way = append(v.way, node{dir, b.Bytes()})
		}
		next, ok, err := lookup(v.way[depth].data, part)
		if err != nil {
			return fid{}, &fault.Error{Kind: fault.Malformed, Op: "afsread: look up", Subject: path.Join(dir, part), Err: err, Advice: "salvage the volume"}
		}
		if !ok {
			return fid{}, &fault.Error{Kind: fault.Gone, Op: "afsread: look up", Subject: path.Join(dir, part), Err: errors.New("no such entry")}
		}
		at = next
	}
	return at, nil
}

// fetch asks for the whole of one vnode: eight bytes of length, the content,
// and 120 bytes of status (AFSFetchStatus, AFSCallBack, AFSVolSync), whose
// second word is the type.
func (v *Volume) fetch(ctx context.Context, f fid, w io.Writer) (kind uint32, err error) {
	request := binary.BigEndian.AppendUint32(nil, opFetchData64)
	for _, word := range []uint32{v.id, f.vnode, f.unique, 0, 0, 0, 0} { // from position 0, …
		request = binary.BigEndian.AppendUint32(request, word)
	}
	binary.BigEndian.PutUint64(request[len(request)-8:], 1<<40) // … to the end
	var a answer
	a.w = w
	if err := v.client.call(ctx, v.server, request, a.take); err != nil {
		return 0, err
	}
	if a.left != 0 || len(a.head) < lengthSize || len(a.tail) < statusSize {
		return 0, &fault.Error{Kind: fault.Unavailable, Op: "afsread: fetch", Subject: v.server.String(), Err: errors.New("the answer ended early"),
			Advice: "try again; the file changed, or the server was stopped"}
	}
	return binary.BigEndian.Uint32(a.tail[4:]), nil
}

const lengthSize, statusSize = 8, 84 + 12 + 24

// answer splits the stream of a fetch into its three parts.
type answer struct {
	w    io.Writer
	head []byte
	left uint64
	tail []byte
}

func (a *answer) take(b []byte) error {
	if missing := lengthSize - len(a.head); missing > 0 {
		n := min(missing, len(b))
		a.head, b = append(a.head, b[:n]...), b[n:]
		if len(a.head) < lengthSize {
			return nil
		}
		a.left = binary.BigEndian.Uint64(a.head)
	}
	n := int(min(a.left, uint64(len(b))))
	a.left -= uint64(n)
	a.tail = append(a.tail, b[n:]...)
	if len(a.tail) > 1<<10 {
		return &fault.Error{Kind: fault.Malformed, Op: "afsread: fetch", Err: errors.New("more follows than the status of a file")}
	}
	_, err := a.w.Write(b[:n])
	return err
}

// limitWriter refuses more than limit bytes.
type limitWriter struct {
	b     *bytes.Buffer
	limit int64
}

func (l limitWriter) Write(p []byte) (int, error) {
	if int64(l.b.Len()+len(p)) > l.limit {
		return 0, &fault.Error{Kind: fault.Hostile, Op: "afsread: read", Err: fmt.Errorf("more than %d bytes", l.limit)}
	}
	return l.b.Write(p)
}

// refusal translates what a server aborts a call with: an errno, or one of
// the volume errors that all AFS implementations share.
func refusal(code int32) error {
	e := &fault.Error{Op: "afsread: fetch", Err: fmt.Errorf("the file server refused it with code %d", code)}
	known, ok := refusals[code]
	if !ok {
		e.Kind = fault.Unavailable
		return e
	}
	e.Kind, e.Err, e.Advice = known.kind, fmt.Errorf("%s (code %d)", known.text, code), known.advice
	if code == 103 || code == 111 {
		e.Err = fmt.Errorf("%w: %w", ErrNoVolume, e.Err)
	}
	return e
}

// ErrNoVolume is in the tree of an error that means that the server has no such
// volume: what its files are, it does not know.
var ErrNoVolume = errors.New("no volume")

var refusals = map[int32]struct {
	kind         fault.Kind
	text, advice string
}{
	2:   {fault.Gone, "no such file", ""},
	13:  {fault.Denied, "permission denied", "give system:anyuser the rights rl on the volume's directories"},
	101: {fault.Unavailable, "the volume needs salvaging", "bos salvage"},
	102: {fault.Gone, "no such vnode", ""},
	103: {fault.Gone, "the volume is not on this server", "vos listvldb, vos syncvldb"},
	105: {fault.Unavailable, "the volume is not in service", ""},
	106: {fault.Unavailable, "the volume is off line", "vos examine"},
	110: {fault.Unavailable, "the volume is busy", ""},
	111: {fault.Gone, "the volume has moved", "vos listvldb"},
}
