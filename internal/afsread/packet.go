package afsread

import (
	"encoding/binary"
	"fmt"
)

// The header of an Rx packet, and the numbers that a reading client needs.
// Source: the rxrpc protocol definitions of Linux (net/rxrpc/protocol.h) and
// OpenAFS (rx.h); all integers are in network byte order.
const (
	headerSize = 28

	typeData  = 1
	typeAck   = 2
	typeBusy  = 3
	typeAbort = 4

	fromClient = 1 // flags
	wantsAck   = 2
	lastPacket = 4
	jumbo      = 32 // of data packets: several in one datagram, which we never allow

	ackRequested = 1 // reasons of an acknowledgement
	ackDuplicate = 2
	ackOutOfSeq  = 3
	ackPing      = 6
	ackPong      = 7
	ackDelay     = 8

	fileService = 1 // service of a file server, and of a client's callbacks

	receiveWindow = 64   // packets that may be on their way to us
	maxPacket     = 1444 // bytes of a packet that we tell the server to send at most
)

type header struct {
	epoch, cid, call, seq, serial uint32
	kind, flags                   uint8
	service                       uint16
}

func (h header) append(b []byte) []byte {
	for _, v := range []uint32{h.epoch, h.cid, h.call, h.seq, h.serial} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, h.kind, h.flags, 0, 0, 0, 0) // user status, security index (none), checksum
	return binary.BigEndian.AppendUint16(b, h.service)
}

func parseHeader(b []byte) (h header, payload []byte, err error) {
	if len(b) < headerSize {
		return h, nil, fmt.Errorf("packet of %d bytes", len(b))
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	return header{epoch: word(0), cid: word(1), call: word(2), seq: word(3), serial: word(4), kind: b[20], flags: b[21],
		service: binary.BigEndian.Uint16(b[26:])}, b[headerSize:], nil
}

// ack is the body of an acknowledgement: everything below first has been
// taken, and of what follows the packets marked true.
type ack struct {
	first  uint32
	serial uint32 // of the packet that caused it
	reason uint8
	got    []bool
}

func (a ack) append(b []byte) []byte {
	b = append(b, 0, 0, 0, 0) // buffer space, skew
	b = binary.BigEndian.AppendUint32(b, a.first)
	b = binary.BigEndian.AppendUint32(b, a.first-1) // previous packet
	b = binary.BigEndian.AppendUint32(b, a.serial)
	b = append(b, a.reason, uint8(len(a.got)))
	for _, got := range a.got {
		if got {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	b = append(b, 0, 0, 0)
	for _, v := range []uint32{maxPacket, maxPacket, receiveWindow, 1} { // largest packet, of the interface, window, packets a datagram
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func parseAck(b []byte) (ack, error) {
	if len(b) < 18 {
		return ack{}, fmt.Errorf("acknowledgement of %d bytes", len(b))
	}
	return ack{first: binary.BigEndian.Uint32(b[4:]), serial: binary.BigEndian.Uint32(b[12:]), reason: b[16]}, nil
}
