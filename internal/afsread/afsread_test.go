package afsread_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/fault"
)

// server is a small file server on loopback: it holds one volume and loses,
// doubles and reorders packets as told. The real one is asked in test/afs.
type server struct {
	conn  net.PacketConn
	files map[uint32][]byte // by vnode
	kinds map[uint32]uint32
	fail  map[uint32]int32 // vnode to abort code
	loss  float64
	quiet bool // never answers
	idle  bool // says only that it is alive

	mu       sync.Mutex
	rng      *rand.Rand
	acked    chan [2]uint32 // connection, first packet that is missing
	answered chan []byte    // what the client said to a question of ours
	gaveUp   int
}

const rootVnode = 1

func serve(t *testing.T, s *server) *afsread.Volume {
	t.Helper()
	var err error
	if s.conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.rng, s.acked, s.answered = rand.New(rand.NewPCG(1, 2)), make(chan [2]uint32, 1000), make(chan []byte, 10)
	done := make(chan struct{})
	go func() { defer close(done); s.run() }()
	c, err := afsread.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.conn.Close()
		<-done
		if s.gaveUp == 0 && !s.quiet && s.loss == 0 {
			t.Error("the client did not give up its callbacks")
		}
	})
	return c.At(netip.MustParseAddrPort(s.conn.LocalAddr().String()), 7)
}

func (s *server) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.Float64() < s.loss
}

func (s *server) send(to net.Addr, b []byte) {
	if s.lost() {
		return
	}
	s.conn.WriteTo(b, to)
	if s.loss > 0 && s.lost() {
		s.conn.WriteTo(b, to) // doubled
	}
}

func packet(like []byte, seq uint32, kind, flags byte, body []byte) []byte {
	b := bytes.Clone(like[:28])
	binary.BigEndian.PutUint32(b[12:], seq)
	b[20], b[21] = kind, flags
	return append(b, body...)
}

func (s *server) run() {
	buf := make([]byte, 4096)
	served := map[uint32]bool{} // calls, by connection
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		b := bytes.Clone(buf[:n])
		if s.quiet || n < 28 || s.lost() {
			continue
		}
		kind, flags, body := b[20], b[21], b[28:]
		switch {
		case flags&1 == 0: // an answer to our own question
			s.answered <- append([]byte{kind}, body...)
		case kind == 2:
			select {
			case s.acked <- [2]uint32{binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(body[4:])}:
			default:
			}
		case s.idle && kind == 1 && binary.BigEndian.Uint32(body) != 65539:
			pong := make([]byte, 18)
			binary.BigEndian.PutUint32(pong[4:], 2) // it has the request
			pong[16] = 7
			s.send(from, packet(b, 0, 2, 0, pong))
		case kind == 1 && binary.BigEndian.Uint32(body) == 65539:
			s.gaveUp++
			s.send(from, packet(b, 1, 1, 4, nil))
		case kind == 1 && binary.BigEndian.Uint32(body) == 65537:
			cid := binary.BigEndian.Uint32(b[4:])
			if !served[cid] {
				served[cid] = true
				go s.answer(from, b, body)
			}
		}
	}
}

// answer asks the client who it is, as a server does that hears of it first, then sends the file.
func (s *server) answer(to net.Addr, request, body []byte) {
	for {
		s.send(to, packet(request, 1, 1, 1|4, binary.BigEndian.AppendUint32(nil, 65538)))
		select {
		case <-s.answered:
		case <-time.After(50 * time.Millisecond):
			continue
		}
		break
	}
	vnode := binary.BigEndian.Uint32(body[8:])
	if code, ok := s.fail[vnode]; ok {
		for range 20 {
			s.send(to, packet(request, 0, 4, 0, binary.BigEndian.AppendUint32(nil, uint32(code))))
		}
		return
	}
	reply := binary.BigEndian.AppendUint64(nil, uint64(len(s.files[vnode])))
	reply = append(reply, s.files[vnode]...)
	status := make([]byte, 120)
	binary.BigEndian.PutUint32(status[4:], s.kinds[vnode])
	s.stream(to, request, append(reply, status...))
}

// stream sends a reply in packets, again and again what is not acknowledged,
// in an order that chance makes.
func (s *server) stream(to net.Addr, request, reply []byte) {
	const size, window = 1400, 32
	var parts [][]byte
	for ; len(reply) > size; reply = reply[size:] {
		parts = append(parts, reply[:size])
	}
	parts = append(parts, reply)
	for first := 0; first < len(parts); {
		last := min(first+window, len(parts))
		s.mu.Lock()
		order := s.rng.Perm(last - first)
		s.mu.Unlock()
		for _, i := range order {
			flags := byte(0)
			if first+i == len(parts)-1 {
				flags = 4
			}
			s.send(to, packet(request, uint32(first+i+1), 1, flags|2, parts[first+i]))
		}
		timeout := time.After(20 * time.Millisecond)
		for waiting := true; waiting && first < last; {
			select {
			case a := <-s.acked:
				if a[0] == binary.BigEndian.Uint32(request[4:]) {
					first = max(first, int(a[1])-1)
				}
			case <-timeout:
				waiting = false
			}
		}
	}
}

// directory makes the content of a directory of one page.
func directory(entries map[string]uint32) []byte {
	d := make([]byte, 2048)
	binary.BigEndian.PutUint16(d[2:], 1234)
	slot := 13
	for name, vnode := range entries {
		h := uint32(0)
		for i := range len(name) {
			h = h*173 + uint32(name[i])
		}
		bucket := int(h & 127)
		if bucket != 0 && int32(h) < 0 {
			bucket = 128 - bucket
		}
		at := slot * 32
		head := d[160+2*bucket:]
		d[at] = 1
		copy(d[at+2:], head[:2])
		binary.BigEndian.PutUint32(d[at+4:], vnode)
		binary.BigEndian.PutUint32(d[at+8:], 1)
		copy(d[at+12:], name)
		binary.BigEndian.PutUint16(head, uint16(slot))
		slot += afsread.Slots(name)
	}
	return d
}

func volume(big []byte) *server {
	long := strings.Repeat("n", 40)
	return &server{
		files: map[uint32][]byte{rootVnode: directory(map[string]uint32{"empty": 2, "big": 4, "sub": 3, "broken": 8, "busy": 10, long: 6}), 2: nil, 4: big,
			3: directory(map[string]uint32{"file": 12}), 12: []byte("content"), 6: []byte("long"), 8: nil},
		kinds: map[uint32]uint32{rootVnode: 2, 2: 1, 4: 1, 3: 2, 12: 1, 6: 1, 8: 3},
		fail:  map[uint32]int32{10: 110},
	}
}

func TestRead(t *testing.T) {
	big := make([]byte, 300_000)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	for name, loss := range map[string]float64{"a good line": 0, "a line that loses, doubles and reorders": 0.2} {
		t.Run(name, func(t *testing.T) {
			s := volume(big)
			s.loss = loss
			v := serve(t, s)
			for path, want := range map[string][]byte{"empty": nil, "big": big, "sub/file": []byte("content"), strings.Repeat("n", 40): []byte("long")} {
				got, err := v.ReadFile(t.Context(), path, 1<<20)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v; want %d", path, len(got), err, len(want))
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	v := serve(t, volume(nil))
	for path, want := range map[string]error{"none": fault.Gone, "sub/none": fault.Gone, "empty/x": fault.Malformed, "sub": fault.Malformed,
		"broken": fault.Malformed, "busy": fault.Unavailable} {
		if _, err := v.ReadFile(t.Context(), path, 1<<20); !errors.Is(err, want) || errors.Is(err, afsread.ErrSilent) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := v.ReadFile(t.Context(), "sub/file", 3); !errors.Is(err, fault.Hostile) {
		t.Errorf("more than the limit: %v", err)
	}
}

func TestSilence(t *testing.T) {
	s := volume(nil)
	s.quiet = true
	v := serve(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := v.ReadFile(ctx, "empty", 1); !errors.Is(err, afsread.ErrSilent) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("a server that does not answer: %v", err)
	}
}

func TestSignsOfLifeAreNoAnswer(t *testing.T) {
	defer func(d time.Duration) { *afsread.Stall = d }(*afsread.Stall)
	*afsread.Stall = 0
	s := volume(nil)
	s.idle = true
	v := serve(t, s)
	if _, err := v.ReadFile(t.Context(), "empty", 1); !errors.Is(err, afsread.ErrSilent) || !strings.Contains(err.Error(), "signs of life") {
		t.Errorf("a server that only says that it is alive: %v", err)
	}
}

func FuzzLookup(f *testing.F) {
	f.Add(directory(map[string]uint32{"a": 2, "b": 4}), "a")
	f.Add(make([]byte, 2048), "")
	f.Fuzz(func(t *testing.T, dir []byte, name string) {
		afsread.Lookup(dir, name)
	})
}
