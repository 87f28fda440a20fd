package parsers_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/rpmrepo"
	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
	"mirrorcycle/mirrorspec"
)

const specHead = "[cycle]\nname = \"c\"\nevery = \"2h\"\n[storage]\nname = \"m\"\nroot = \"/srv/a\"\n"

// shorter leaves inputs a little below the size that a spec may have.
func shorter(input func(int) []byte) func(int) []byte {
	return func(n int) []byte { return input(n - 1024) }
}

func spec(data []byte) {
	if _, faults := mirrorspec.Parse("f", data); len(faults) > 0 {
		_ = faults.Error()
	}
}

func audit(data []byte) { _, _ = wheel.Audit(bytes.NewReader(data), int64(len(data))) }
func htmlPage(data []byte) {
	_, _ = simpleindex.ParsePage(data, "a", "https://index.example.org/simple/a/")
}
func repomd(data []byte)    { _, _ = rpmrepo.ParseRepomd(data) }
func rpmHeader(data []byte) { _, _ = rpmrepo.ProveHeader("a.rpm", bytes.NewReader(data), nil) }

func primary(data []byte) {
	for range rpmrepo.ReadPrimary(bytes.NewReader(data)) {
	}
}

// elfWheel is a wheel of one shared library. Half of it are names that it
// needs, all of them the rest of it, which may be said to be compressed.
func elfWheel(n int, flags uint64) []byte {
	names := append([]byte{0}, bytes.Repeat([]byte{'a'}, n/2)...)
	if flags != 0 {
		var packed bytes.Buffer
		_ = binary.Write(&packed, binary.LittleEndian, elf.Chdr64{Type: uint32(elf.COMPRESS_ZLIB), Size: uint64(n * 500), Addralign: 1})
		z := zlib.NewWriter(&packed)
		_, _ = z.Write(make([]byte, n*500))
		_ = z.Close()
		names = packed.Bytes()
	}
	var needed bytes.Buffer
	for needed.Len() < n/2 {
		_ = binary.Write(&needed, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: 1})
	}
	const head = 64
	body := append(needed.Bytes(), names...)
	var b bytes.Buffer
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	_ = binary.Write(&b, binary.LittleEndian, elf.Header64{Ident: ident, Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: uint64(head + len(body)), Ehsize: head, Shentsize: 64, Shnum: 3, Shstrndx: 2})
	b.Write(body)
	for _, s := range []elf.Section64{{}, {Type: uint32(elf.SHT_DYNAMIC), Off: head, Size: uint64(needed.Len()), Link: 2, Entsize: 16},
		{Type: uint32(elf.SHT_STRTAB), Flags: flags, Off: uint64(head + needed.Len()), Size: uint64(len(names))}} {
		_ = binary.Write(&b, binary.LittleEndian, s)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	if w, err := z.CreateHeader(&zip.FileHeader{Name: "a/a.so", Method: zip.Store}); err == nil {
		_, _ = w.Write(b.Bytes())
	}
	_ = z.Close()
	return out.Bytes()
}

// rpmOf is an rpm whose second header has as many tags and bytes of text as size says.
func rpmOf(size func(n int) (tags, store int)) func(int) []byte {
	return func(n int) []byte {
		var b bytes.Buffer
		b.Write(append([]byte{0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0}, make([]byte, 88)...))
		header := func(tags, store int) {
			b.Write([]byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0})
			_ = binary.Write(&b, binary.BigEndian, [2]uint32{uint32(tags), uint32(store)})
			for i := range tags {
				_ = binary.Write(&b, binary.BigEndian, [4]uint32{uint32(1000 + i), 6, 0, 1})
			}
			b.Write(bytes.Repeat([]byte{'a'}, store))
		}
		header(1, 8)
		header(size(n))
		return b.Bytes()
	}
}

// TestCompressionRatios: what a small file becomes is bounded by what its
// Release declares, in every form.
func TestCompressionRatios(t *testing.T) {
	const declared, real = 1 << 20, 64 << 20
	for suffix, pack := range map[string]func(io.Writer) io.WriteCloser{
		".gz": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		".xz": func(w io.Writer) io.WriteCloser {
			x, err := xz.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return x
		},
		".zst": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	} {
		var bomb bytes.Buffer
		w := pack(&bomb)
		if _, err := io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("a", real)), real)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var n int64
		var failure error
		spent, bytesTaken := cost(func(data []byte) {
			r, err := debrepo.Decompress("Packages"+suffix, bytes.NewReader(data), declared)
			if err != nil {
				failure = err
				return
			}
			defer r.Close()
			n, failure = io.Copy(io.Discard, r)
		}, bomb.Bytes())
		t.Logf("%s: %d kB in for %d MB, %d kB allocated, %v", suffix, bomb.Len()>>10, real>>20, bytesTaken>>10, spent)
		if !errors.Is(failure, fault.Hostile) || n > declared || bytesTaken > 64<<20 {
			t.Errorf("%s: %d bytes came, %d were allocated, %v", suffix, n, bytesTaken, failure)
		}
	}
}
