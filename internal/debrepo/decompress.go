package debrepo

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"mirrorcycle/internal/fault"
)

// maxWindow bounds the memory of one decompressor, in bytes. xz -9 needs 64 MiB.
const maxWindow = 64 << 20

// Decompress returns the plain content of an index whose suffix (.xz, .zst, .bz2,
// .gz or none) names its compression. A file may hold several streams, members or
// frames one after the other, empty ones among them, and padding as each format
// has it, as xz(1), gzip(1), zstd(1), bzip2(1) and apt read them. limit is the uncompressed size in bytes that
// Release declares; one byte more is fault.Hostile, as is a stream that asks for
// more than 64 MiB of window; both hold over all streams together. Damage is fault.Malformed, at the latest when the
// last byte is read. Closing it frees the decompressor, not r.
func Decompress(name string, r io.Reader, limit int64) (io.ReadCloser, error) {
	d := &decompressor{name: name, left: limit, release: func() {}}
	in := bufio.NewReaderSize(r, 32<<10)
	// No format has an empty form, but zstd reads nothing as no frames.
	_, err := in.Peek(1)
	switch {
	case name == TrimCompression(name):
		d.r, err = in, nil
	case err != nil:
	case strings.HasSuffix(name, ".gz"):
		d.r, err = newMembers(in)
	case strings.HasSuffix(name, ".xz"):
		// The smallest dictionary makes the library take what each block asks
		// for, which the guard has limited, and not 8 MiB at the least.
		guarded := bufio.NewReaderSize(&xzGuard{r: in, maxDict: maxWindow}, 32<<10)
		d.r, err = xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(guarded)
	case strings.HasSuffix(name, ".zst"):
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			d.r, d.release = z, z.Close
		}
	case strings.HasSuffix(name, ".bz2"):
		d.r = bzip2.NewReader(in)
	}
	if err != nil {
		return nil, d.fail(err)
	}
	return d, nil
}

// members reads gzip members one after the other. What follows the last of them
// and is none, such as padding, is passed over, as gzip(1) and apt's zlib do.
type members struct {
	in *bufio.Reader
	z  *gzip.Reader
}

func newMembers(in *bufio.Reader) (*members, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &members{in: in, z: z}, nil
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		switch {
		case err != io.EOF:
			return n, err
		case n > 0:
			return n, nil
		}
		magic, err := m.in.Peek(2)
		switch {
		case len(magic) < 2 && err != io.EOF:
			return 0, err
		case len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b:
			return 0, io.EOF
		}
		if err := m.z.Reset(m.in); err != nil {
			return 0, err
		}
		m.z.Multistream(false)
	}
}

// decompressor counts what comes out.
type decompressor struct {
	name    string
	r       io.Reader
	left    int64
	err     error
	release func()
}

func (d *decompressor) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > d.left+1 {
		p = p[:d.left+1] // one more than allowed shows whether there is more
	}
	n, err := d.r.Read(p)
	if int64(n) > d.left {
		n, err = int(d.left), errBomb
	}
	d.left -= int64(n)
	if err != nil {
		d.err = io.EOF
		if err != io.EOF {
			d.err = d.fail(err)
		}
	}
	return n, d.err
}

func (d *decompressor) Close() error {
	d.release()
	d.err = errors.New("debrepo: read after close")
	return nil
}

var (
	errBomb   = errors.New("more content than declared")
	errWindow = errors.New("asks for more memory than any index needs")
)

func (d *decompressor) fail(err error) error {
	if fault.KindOf(err) != "" {
		return err
	}
	kind := fault.Malformed
	switch {
	case errors.Is(err, errBomb), errors.Is(err, errWindow), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		kind = fault.Hostile
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return &fault.Error{Kind: kind, Op: "debrepo: decompress", Subject: d.name, Err: err}
}
