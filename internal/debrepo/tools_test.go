package debrepo_test

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/need"
)

// tool packs data with a program, as the makers of archives do.
func tool(t *testing.T, data []byte, name string, args ...string) []byte {
	t.Helper()
	_, err := exec.LookPath(name)
	need.That(t, err == nil, name+" is not installed")
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// TestSeveralStreams reads what xz, gzip, zstd and bzip2 write one after the
// other: pixz and pxz make one stream per thread, apt-ftparchive ends with an
// empty one, and files may be joined with cat.
func TestSeveralStreams(t *testing.T) {
	half := len(plain) / 2
	for _, c := range []struct {
		form, program string
		args          []string
		between, last []byte // padding
	}{
		{"xz", "xz", []string{"-c"}, make([]byte, 8), make([]byte, 4)},
		{"xz", "pixz", []string{"-t"}, make([]byte, 4), make([]byte, 64)},
		{"gz", "gzip", []string{"-c"}, nil, make([]byte, 512)},
		{"zst", "zstd", []string{"-q", "-c"}, nil, nil},
		{"bz2", "bzip2", []string{"-c"}, nil, nil},
	} {
		t.Run(c.program, func(t *testing.T) {
			pack := func(data []byte) []byte { return tool(t, data, c.program, c.args...) }
			one, two, none := pack(plain[:half]), pack(plain[half:]), []byte(nil)
			if c.program == "pixz" {
				none = tool(t, nil, "xz") // pixz makes no stream of nothing
			} else {
				none = pack(nil)
			}
			for name, parts := range map[string][][]byte{
				"two":                   {one, two},
				"an empty one at last":  {one, two, none},
				"an empty one at first": {none, one, none, two},
				"padding":               {one, c.between, two, c.last},
			} {
				data := bytes.Join(parts, nil)
				if got, err := unpack("x."+c.form, data, int64(len(plain))); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(plain), err)
				}
				if _, err := unpack("x."+c.form, data, int64(len(plain))-1); !errors.Is(err, fault.Hostile) {
					t.Errorf("%s: one byte more than declared: %v, want hostile", name, err)
				}
			}
			if got, err := unpack("x."+c.form, none, 0); err != nil || len(got) != 0 {
				t.Errorf("nothing packed: %d bytes, %v", len(got), err)
			}
			for _, cut := range []int{1, 5, len(two) / 2} {
				data := append(bytes.Clone(one), two[:len(two)-cut]...)
				if _, err := unpack("x."+c.form, data, int64(len(plain))); !errors.Is(err, fault.Malformed) {
					t.Errorf("the second cut by %d bytes: %v, want malformed", cut, err)
				}
			}
		})
	}
	t.Run("a dictionary of 4 GiB in the second", func(t *testing.T) {
		one := tool(t, plain, "xz", "-c")
		data := append(bytes.Clone(one), withDictionary(one, 40)...)
		if _, err := unpack("x.xz", data, 2*int64(len(plain))); !errors.Is(err, fault.Hostile) {
			t.Errorf("err = %v, want hostile", err)
		}
	})
	t.Run("too many blocks in all", func(t *testing.T) {
		one := tool(t, bytes.Repeat([]byte{'a'}, 3000), "xz", "-c", "--block-size=1", "--lzma2=dict=4KiB")
		if _, err := unpack("x.xz", one, 3000); err != nil {
			t.Errorf("3,000 blocks: %v", err)
		}
		if _, err := unpack("x.xz", append(bytes.Clone(one), one...), 6000); !errors.Is(err, fault.Hostile) {
			t.Errorf("6,000 blocks: %v, want hostile", err)
		}
	})
}
