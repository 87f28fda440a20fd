package rpmrepo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of an rpm header: rpm's own are 65,535 tags and 256 MiB; the largest
// real ones have some 30 MB.
const (
	maxTags   = 65535
	maxHeader = 128 << 20
)

// header is one of the two headers of an rpm: its signatures, or its tags.
type header struct {
	raw   []byte // magic to the end of the data: what signatures sign
	index []byte
	store []byte
}

var (
	leadMagic   = []byte{0xed, 0xab, 0xee, 0xdb}
	headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01}
)

const leadSize = 96

// readHeaders reads the lead and both headers; r is then at the payload.
func readHeaders(r io.Reader) (sig, main header, err error) {
	lead := make([]byte, leadSize)
	if _, err := io.ReadFull(r, lead); err != nil {
		return sig, main, cut(err)
	}
	if !bytes.HasPrefix(lead, leadMagic) {
		return sig, main, errors.New("it is not an rpm")
	}
	if sig, err = readHeader(r); err != nil {
		return sig, main, err
	}
	if pad := -len(sig.raw) & 7; pad > 0 {
		if _, err := io.CopyN(io.Discard, r, int64(pad)); err != nil {
			return sig, main, cut(err)
		}
	}
	main, err = readHeader(r)
	return sig, main, err
}

func readHeader(r io.Reader) (header, error) {
	var h header
	intro := make([]byte, 16)
	if _, err := io.ReadFull(r, intro); err != nil {
		return h, cut(err)
	}
	tags, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if !bytes.HasPrefix(intro, headerMagic) {
		return h, errors.New("it has no header where one must be")
	}
	if tags == 0 || tags > maxTags || size > maxHeader {
		return h, fmt.Errorf("a header of %d tags and %d bytes", tags, size)
	}
	// What is announced is not allocated before it is there.
	var raw bytes.Buffer
	raw.Write(intro)
	if n, err := io.Copy(&raw, io.LimitReader(r, int64(tags)*16+int64(size))); err != nil {
		return h, err
	} else if n < int64(tags)*16+int64(size) {
		return h, io.ErrUnexpectedEOF
	}
	h.raw = raw.Bytes()
	h.index, h.store = h.raw[16:16+tags*16], h.raw[16+tags*16:]
	return h, nil
}

// Types of values.
const (
	typeInt32   = 4
	typeString  = 6
	typeBin     = 7
	typeStrings = 8
)

// find returns the value of a tag from its beginning to the end of the store.
func (h header) find(tag uint32) (kind, count uint32, value []byte, ok bool) {
	for e := h.index; len(e) >= 16; e = e[16:] {
		if binary.BigEndian.Uint32(e) != tag {
			continue
		}
		offset := binary.BigEndian.Uint32(e[8:])
		if uint64(offset) >= uint64(len(h.store)) {
			return 0, 0, nil, false
		}
		return binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[12:]), h.store[offset:], true
	}
	return 0, 0, nil, false
}

func (h header) bin(tag uint32) []byte {
	kind, count, value, ok := h.find(tag)
	if !ok || kind != typeBin || uint64(count) > uint64(len(value)) {
		return nil
	}
	return value[:count]
}

// strings returns the strings of a tag, at most limit of them.
func (h header) strings(tag uint32, limit int) []string {
	kind, count, value, ok := h.find(tag)
	if !ok || kind != typeString && kind != typeStrings {
		return nil
	}
	var out []string
	for range min(int(count), limit) {
		end := bytes.IndexByte(value, 0)
		if end < 0 {
			break
		}
		out, value = append(out, string(value[:end])), value[end+1:]
	}
	return out
}

func (h header) string(tag uint32) string { return strings.Join(h.strings(tag, 1), "") }

func (h header) int32(tag uint32) (uint32, bool) {
	kind, count, value, ok := h.find(tag)
	if !ok || kind != typeInt32 || count == 0 || len(value) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value), true
}
