package debrepo_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ulikunitz/xz"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/fault"
)

// plain is long and varied enough for an xz stream of several chunks.
var plain = bigPackages(500)

func compressed(t testing.TB, form string) []byte {
	t.Helper()
	if form == "bz2" {
		// "hello hello hello\n"; the standard library cannot write bzip2.
		b, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWeW18wkAAARRAAAQQAACRKAAIbUYDAKQacKjC7kinChIctr5hIA=")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, err := debrepotest.Compress(form, plain)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unpack(name string, data []byte, limit int64) ([]byte, error) {
	r, err := debrepo.Decompress(name, bytes.NewReader(data), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestDecompress(t *testing.T) {
	for _, form := range []string{"", "gz", "xz", "zst"} {
		name := strings.TrimSuffix("Packages."+form, ".")
		data := compressed(t, form)
		t.Run(name, func(t *testing.T) {
			got, err := unpack(name, data, int64(len(plain)))
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			r, err := debrepo.Decompress(name, iotest.OneByteReader(bytes.NewReader(data)), int64(len(plain)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("byte by byte: %d bytes, %v", len(got), err)
			}
		})
		t.Run(name+" beyond its declared size", func(t *testing.T) {
			got, err := unpack(name, data, int64(len(plain))-1)
			if !errors.Is(err, fault.Hostile) || len(got) >= len(plain) {
				t.Errorf("%d bytes, %v; want hostile", len(got), err)
			}
		})
		if form == "" {
			continue
		}
		t.Run(name+" cut short", func(t *testing.T) {
			for _, n := range []int{0, 1, 11, len(data) / 2, len(data) - 1} {
				if _, err := unpack(name, data[:n], int64(len(plain))); !errors.Is(err, fault.Malformed) {
					t.Errorf("first %d bytes: %v, want malformed", n, err)
				}
			}
		})
		t.Run(name+" is a portal page", func(t *testing.T) {
			if _, err := unpack(name, []byte("<html><body>Please log in to continue</body></html>"), 1000); !errors.Is(err, fault.Malformed) {
				t.Errorf("err = %v, want malformed", err)
			}
		})
	}
}

func TestDecompressXZ(t *testing.T) {
	pack := func(cfg xz.WriterConfig) []byte {
		var b bytes.Buffer
		w, err := cfg.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	t.Run("many blocks", func(t *testing.T) {
		got, err := unpack("x.xz", pack(xz.WriterConfig{DictCap: 1 << 16, BlockSize: 10_000}), int64(len(plain)))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	for name, check := range map[string]byte{"no check": xz.None, "CRC32": xz.CRC32, "SHA-256": xz.SHA256} {
		t.Run(name, func(t *testing.T) {
			cfg := xz.WriterConfig{CheckSum: check, NoCheckSum: check == xz.None}
			if got, err := unpack("x.xz", pack(cfg), int64(len(plain))); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	t.Run("too many blocks", func(t *testing.T) {
		if _, err := unpack("x.xz", pack(xz.WriterConfig{DictCap: 4096, BlockSize: 50}), int64(len(plain))); !errors.Is(err, fault.Hostile) {
			t.Errorf("err = %v, want hostile", err)
		}
	})
	t.Run("dictionary of 64 MiB", func(t *testing.T) {
		if _, err := unpack("x.xz", withDictionary(pack(xz.WriterConfig{}), 28), int64(len(plain))); errors.Is(err, fault.Hostile) {
			t.Errorf("xz -9 refused: %v", err)
		}
	})
	t.Run("dictionary of 4 GiB", func(t *testing.T) {
		if _, err := unpack("x.xz", withDictionary(pack(xz.WriterConfig{}), 40), int64(len(plain))); !errors.Is(err, fault.Hostile) {
			t.Errorf("err = %v, want hostile", err)
		}
	})
	t.Run("data after the stream", func(t *testing.T) {
		if _, err := unpack("x.xz", append(pack(xz.WriterConfig{}), "more"...), int64(len(plain))); err == nil {
			t.Error("accepted")
		}
	})
}

// withDictionary changes the dictionary size code of the first block header; its
// CRC is then wrong, which only matters once the size has been let through.
func withDictionary(data []byte, code byte) []byte {
	data = bytes.Clone(data)
	i := bytes.Index(data[12:], []byte{0x21, 1})
	data[12+i+2] = code
	return data
}

func TestDecompressBzip2(t *testing.T) {
	want := "hello hello hello\n"
	if got, err := unpack("x.bz2", compressed(t, "bz2"), int64(len(want))); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := unpack("x.bz2", compressed(t, "bz2"), 5); !errors.Is(err, fault.Hostile) {
		t.Errorf("err = %v, want hostile", err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, form := range []string{"", "gz", "xz", "zst", "bz2"} {
		f.Add(form, compressed(f, form))
	}
	f.Add("xz", withDictionary(compressed(f, "xz"), 40))
	const limit = 1 << 20
	f.Fuzz(func(t *testing.T, form string, data []byte) {
		switch form {
		case "", "gz", "xz", "zst", "bz2":
		default:
			return
		}
		got, err := unpack("x."+form, data, limit)
		if len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		if err != nil && !errors.Is(err, fault.Malformed) && !errors.Is(err, fault.Hostile) {
			t.Fatalf("err = %v", err)
		}
	})
}
