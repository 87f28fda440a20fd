// Package afsread reads files of one AFS volume from one file server, without a client and its cache.
//
// What a site of a volume holds cannot be learned through /afs: the client
// chooses the site, and answers from its cache. This package speaks the file
// server's own protocol (Rx over UDP, RXAFS_FetchData64) with the rights of
// system:anyuser, so it sees what that server serves to everybody, now.
//
// It reads only. Callback promises that servers make on the way are given up
// by Close.
package afsread

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"mirrorcycle/internal/fault"
)

// Port is where file servers listen.
const Port = 7000

// Client is one UDP socket. It may be used from several goroutines.
type Client struct {
	conn  net.PacketConn
	epoch uint32
	done  chan struct{}

	mu      sync.Mutex
	nextCID uint32
	calls   map[uint32]*call // by connection ID
	spoken  map[netip.AddrPort]bool
}

// New starts a client. A nil conn means a UDP socket of its own on any port;
// one that is given is closed by Close.
func New(conn net.PacketConn) (*Client, error) {
	if conn == nil {
		var err error
		if conn, err = net.ListenPacket("udp", ":0"); err != nil {
			return nil, fmt.Errorf("afsread: open a socket: %w", err)
		}
	}
	var seed [8]byte
	rand.Read(seed[:])
	c := &Client{conn: conn, calls: map[uint32]*call{}, spoken: map[netip.AddrPort]bool{}, done: make(chan struct{}),
		epoch:   binary.BigEndian.Uint32(seed[:]) | 1<<31, // random, not a time
		nextCID: binary.BigEndian.Uint32(seed[4:]) &^ 3}   // the low bits are the channel
	go c.receive()
	return c, nil
}

// Close tells the file servers to forget this client, and closes the socket.
func (c *Client) Close() error {
	c.mu.Lock()
	servers := c.spoken
	c.spoken = nil
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for s := range servers {
		wg.Go(func() {
			// A courtesy: a server that does not answer finds out by itself.
			_ = c.call(ctx, s, binary.BigEndian.AppendUint32(nil, opGiveUpAllCallbacks), func([]byte) error { return nil })
		})
	}
	wg.Wait()
	err := c.conn.Close()
	<-c.done
	return err
}

// receive hands packets to the calls that wait for them, and answers what a
// file server asks of its clients.
func (c *Client) receive() {
	defer close(c.done)
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as an ICMP answer to a packet sent before
			time.Sleep(time.Millisecond) // one that stays must not take a core
			continue
		}
		h, payload, err := parseHeader(buf[:n])
		if err != nil {
			continue
		}
		if h.flags&fromClient != 0 {
			if h.kind == typeData {
				c.answer(from, h, payload)
			}
			continue
		}
		c.mu.Lock()
		waiting := c.calls[h.cid&^3]
		c.mu.Unlock()
		if waiting == nil || h.epoch != c.epoch || h.call != 1 {
			continue
		}
		select {
		case waiting.in <- packet{h, append([]byte(nil), payload...)}:
		default: // full: the server sends it again
		}
	}
}

// Calls of a file server to its clients (the callback interface RXAFSCB).
const (
	cbCallBack           = 204
	cbInitCallBackState  = 205
	cbProbe              = 206
	cbInitCallBackState3 = 213

	errNoSuchCall = -455 // RXGEN_OPCODE
)

// answer replies to a file server's own call. There is no cache to invalidate,
// so nothing is an answer; what a client may decline, it declines, and the
// server takes it for a simple one.
func (c *Client) answer(to net.Addr, h header, payload []byte) {
	if len(payload) < 4 || h.seq != 1 {
		return
	}
	reply := header{epoch: h.epoch, cid: h.cid, call: h.call, serial: 1, service: h.service}
	switch binary.BigEndian.Uint32(payload) {
	case cbCallBack, cbInitCallBackState, cbProbe, cbInitCallBackState3:
		reply.kind, reply.seq, reply.flags = typeData, 1, lastPacket
		c.conn.WriteTo(reply.append(nil), to)
	default:
		code := int32(errNoSuchCall)
		reply.kind = typeAbort
		c.conn.WriteTo(binary.BigEndian.AppendUint32(reply.append(nil), uint32(code)), to)
	}
}

type packet struct {
	header
	payload []byte
}

// call is one remote procedure call, on a connection of its own.
type call struct {
	client *Client
	cid    uint32
	to     *net.UDPAddr
	in     chan packet
	serial uint32
	next   uint32            // sequence number of the packet that is wanted
	early  map[uint32]packet // those that came before their turn
	heard  bool              // the server has the request
}

const (
	resend    = 300 * time.Millisecond // first pause before a request is sent again; it doubles
	keepAlive = 3 * time.Second
	silence   = 8 * time.Second // a server that says nothing for so long is given up
)

// stall is how long a server may say that it is alive and send nothing of the
// answer: as long as it may take to attach a large volume.
var stall = 5 * time.Minute

// call sends one request that fits a packet and hands the answer's bytes to take, in order.
func (c *Client) call(ctx context.Context, to netip.AddrPort, request []byte, take func([]byte) error) error {
	k := c.start(to)
	defer k.end()
	if err := k.send(typeData, lastPacket, 1, request); err != nil {
		return unreachable(to, err)
	}
	pause, last, moved := resend, time.Now(), time.Now()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return unreachable(to, ctx.Err())
		case <-timer.C:
			if time.Since(last) > silence {
				return unreachable(to, fmt.Errorf("for %s", silence))
			}
			if !k.heard {
				pause = min(2*pause, keepAlive)
				k.send(typeData, lastPacket, 1, request)
			} else {
				pause = keepAlive
				k.acknowledge(ackPing, 0)
			}
		case p := <-k.in:
			last = time.Now()
			before := k.next
			if done, err := k.accept(p, take); done || err != nil {
				return err
			}
			if k.next != before {
				moved = last
			}
			if time.Since(moved) > stall {
				return unreachable(to, fmt.Errorf("but signs of life for %s", stall))
			}
		}
		timer.Reset(pause)
	}
}

func (c *Client) start(to netip.AddrPort) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextCID += 4
	k := &call{client: c, cid: c.nextCID, to: net.UDPAddrFromAddrPort(to), in: make(chan packet, 2*receiveWindow), next: 1, early: map[uint32]packet{}}
	c.calls[k.cid] = k
	if c.spoken != nil {
		c.spoken[to] = true
	}
	return k
}

func (k *call) end() {
	k.client.mu.Lock()
	defer k.client.mu.Unlock()
	delete(k.client.calls, k.cid)
}

func (k *call) send(kind, flags uint8, seq uint32, body []byte) error {
	k.serial++
	h := header{epoch: k.client.epoch, cid: k.cid, call: 1, seq: seq, serial: k.serial, kind: kind, flags: flags | fromClient, service: fileService}
	_, err := k.client.conn.WriteTo(append(h.append(nil), body...), k.to)
	return err
}

// acknowledge says what has come. Nothing is lost if the packet is: the server asks again.
func (k *call) acknowledge(reason uint8, serial uint32) {
	a := ack{first: k.next, serial: serial, reason: reason}
	if len(k.early) > 0 {
		var top uint32
		for seq := range k.early {
			top = max(top, seq)
		}
		for seq := k.next; seq <= top; seq++ {
			_, ok := k.early[seq]
			a.got = append(a.got, ok)
		}
	}
	flags := uint8(0)
	if reason == ackPing {
		flags = wantsAck
	}
	k.send(typeAck, flags, 0, a.append(nil))
}

// accept takes one packet; done means that the answer is complete.
func (k *call) accept(p packet, take func([]byte) error) (done bool, err error) {
	switch p.kind {
	case typeAbort:
		if len(p.payload) < 4 {
			return true, fmt.Errorf("afsread: the server %s aborted without a reason", k.to)
		}
		return true, refusal(int32(binary.BigEndian.Uint32(p.payload)))
	case typeAck:
		a, err := parseAck(p.payload)
		if err != nil {
			return false, nil
		}
		k.heard = k.heard || a.first > 1
		if p.flags&wantsAck != 0 || a.reason == ackPing {
			k.acknowledge(ackPong, p.serial)
		}
	case typeData:
		k.heard = true
		return k.data(p, take)
	case typeBusy:
		k.heard = false
	}
	return false, nil
}

func (k *call) data(p packet, take func([]byte) error) (done bool, err error) {
	switch {
	case p.flags&jumbo != 0:
		return false, nil
	case p.seq < k.next:
		k.acknowledge(ackDuplicate, p.serial)
		return false, nil
	case p.seq > k.next:
		if p.seq < k.next+receiveWindow {
			k.early[p.seq] = p
		}
		k.acknowledge(ackOutOfSeq, p.serial)
		return false, nil
	}
	for cur, ok := p, true; ok; cur, ok = k.early[k.next] {
		delete(k.early, cur.seq)
		k.next++
		if err := take(cur.payload); err != nil {
			return true, err
		}
		if cur.flags&lastPacket != 0 {
			k.acknowledge(ackDelay, cur.serial)
			return true, nil
		}
	}
	switch {
	case p.flags&wantsAck != 0:
		k.acknowledge(ackRequested, p.serial)
	case k.next%2 == 0:
		k.acknowledge(ackDelay, p.serial)
	}
	return false, nil
}

// ErrSilent is in the tree of an error that means that a server gave no answer at all.
var ErrSilent = errors.New("no answer")

func unreachable(server netip.AddrPort, err error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "afsread: ask file server", Subject: server.String(), Err: fmt.Errorf("%w: %w", ErrSilent, err),
		Advice: "check that it runs and that UDP port 7000 can be reached from here"}
}
