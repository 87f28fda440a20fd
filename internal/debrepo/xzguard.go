package debrepo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzGuard passes an xz file on and refuses block headers that ask for a large
// dictionary: the library allocates whatever a header names, up to 4 GiB. It
// follows the container (https://tukaani.org/xz/xz-file-format.txt) without
// decoding: streams and the padding between them; in each stream a header, then
// blocks of a header, LZMA2 chunks, padding and check, then the index and the
// footer. Its limits hold over all streams together.
type xzGuard struct {
	r       io.Reader
	maxDict int64

	state   func(*xzGuard, []byte) (need, skip int, err error)
	buf     []byte // the header being gathered
	need    int    // bytes of that header
	skip    int    // bytes to pass over before it
	check   int    // bytes of the check after each block
	body    int64  // bytes of chunks in this block, for the padding; or of the index
	blocks  int    // so far, in all streams
	numbers int64  // still to come in the index
	partial bool   // the state needs more of the header it was given
	err     error
}

// maxBlocks bounds how often a dictionary is allocated. xz -T6 makes one block per 24 MiB.
const maxBlocks = 4096

func (g *xzGuard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.r.Read(p)
	if g.err = g.follow(p[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

func (g *xzGuard) follow(b []byte) error {
	if g.state == nil {
		g.state, g.need = (*xzGuard).streamHeader, 12
	}
	for len(b) > 0 && g.need > 0 {
		if g.skip > 0 {
			n := min(g.skip, len(b))
			g.skip, b = g.skip-n, b[n:]
			continue
		}
		n := min(g.need-len(g.buf), len(b))
		g.buf, b = append(g.buf, b[:n]...), b[n:]
		if len(g.buf) < g.need {
			return nil
		}
		need, skip, err := g.state(g, g.buf)
		if err != nil {
			return err
		}
		if need > len(g.buf) && g.partial {
			g.need, g.partial = need, false // the same header, now its whole length is known
			continue
		}
		g.need, g.skip, g.buf = need, skip, g.buf[:0]
	}
	return nil
}

// betweenStreams tells padding from the header of another stream.
func (g *xzGuard) betweenStreams(b []byte) (need, skip int, err error) {
	if bytes.Equal(b, []byte{0, 0, 0, 0}) {
		return 4, 0, nil
	}
	g.state, g.partial = (*xzGuard).streamHeader, true
	return 12, 0, nil
}

func (g *xzGuard) streamHeader(b []byte) (need, skip int, err error) {
	sizes := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.check = sizes[b[7]&0x0f]
	g.state = (*xzGuard).blockSize
	return 1, 0, nil
}

func (g *xzGuard) blockSize(b []byte) (need, skip int, err error) {
	if b[0] == 0 {
		g.body, g.numbers, g.state = 1, -1, (*xzGuard).indexNumber
		return 1, 0, nil
	}
	if g.blocks++; g.blocks > maxBlocks {
		return 0, 0, fmt.Errorf("%w: more than %d blocks", errWindow, maxBlocks)
	}
	g.body, g.state = 0, (*xzGuard).blockHeader
	return (int(b[0])+1)*4 - 1, 0, nil
}

// indexNumber passes over the index that ends a stream: how many records there
// are, two numbers for each, padding, a checksum; then a footer of 12 bytes.
func (g *xzGuard) indexNumber(b []byte) (need, skip int, err error) {
	last := b[len(b)-1]
	switch {
	case last&0x80 != 0 && len(b) >= 9:
		return 0, 0, errors.New("xz: index with an endless number")
	case last&0x80 != 0:
		g.partial = true
		return len(b) + 1, 0, nil
	}
	g.body += int64(len(b))
	if g.numbers < 0 {
		records, _ := binary.Uvarint(b)
		if records > maxBlocks {
			return 0, 0, fmt.Errorf("%w: index of %d blocks", errWindow, records)
		}
		g.numbers = 2 * int64(records)
	} else {
		g.numbers--
	}
	if g.numbers > 0 {
		return 1, 0, nil
	}
	g.state = (*xzGuard).betweenStreams
	return 4, int(-g.body&3) + 4 + 12, nil
}

func (g *xzGuard) blockHeader(b []byte) (need, skip int, err error) {
	flags, rest := b[0], b[1:]
	for range int(flags>>6&1) + int(flags>>7) { // compressed and uncompressed size
		for len(rest) > 0 && rest[0]&0x80 != 0 {
			rest = rest[1:]
		}
		if len(rest) > 0 {
			rest = rest[1:]
		}
	}
	// One filter, LZMA2 (0x21), with one byte of properties: the dictionary size.
	if flags&0x3f != 0 || len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return 0, 0, errors.New("xz: block with a filter other than LZMA2")
	}
	dict, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return 0, 0, err
	}
	if dict > g.maxDict {
		return 0, 0, fmt.Errorf("%w: xz dictionary of %d bytes", errWindow, dict)
	}
	g.state = (*xzGuard).chunk
	return 1, 0, nil
}

func (g *xzGuard) chunk(b []byte) (need, skip int, err error) {
	control := b[0]
	switch {
	case control == 0:
		g.body++
		g.state = (*xzGuard).blockSize
		return 1, int(-g.body&3) + g.check, nil
	case control > 2 && control < 0x80:
		return 0, 0, errors.New("xz: unknown chunk")
	}
	header := 3
	if control >= 0x80 {
		header = 5
	}
	if control >= 0xc0 {
		header = 6
	}
	if len(b) < header {
		g.partial = true
		return header, 0, nil
	}
	size := int(b[header-2])<<8 | int(b[header-1])
	if control >= 0xc0 {
		size = int(b[3])<<8 | int(b[4])
	}
	g.body += int64(header + size + 1)
	return 1, size + 1, nil
}
