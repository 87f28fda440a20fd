package wheel_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/wheel"
)

// library reads a shared library that GCC 12 made on Debian 12 (gcc -shared
// -fPIC -Os -s): near.so calls printf, exp and strtol; libfar.so.7 calls near;
// use.so needs libfar.so.7.
func library(t testing.TB, name string) string {
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAudit(t *testing.T) {
	near, far, use := member{"demo/near.so", library(t, "near.so")}, member{"demo.libs/libfar.so.7", library(t, "libfar.so.7")}, member{"demo/use.so", library(t, "use.so")}
	tests := map[string]struct {
		members []member
		want    wheel.Report
	}{
		"no compiled code": {nil, wheel.Report{Versions: map[string]string{}}},
		"an archive":       {[]member{{"demo/lib.a", "!<arch>\n"}}, wheel.Report{Compiled: true, Versions: map[string]string{}}},
		"byte code":        {[]member{{"demo/x.pyc", "x"}}, wheel.Report{ByPython: true, Versions: map[string]string{}}},
		"an extension module": {[]member{{"demo/x.cpython-311-x86_64-linux-gnu.so", far.data}}, wheel.Report{Compiled: true, ByPython: true,
			Binaries: []string{"demo/x.cpython-311-x86_64-linux-gnu.so"}, Versions: map[string]string{}, Policy: "manylinux_2_5_x86_64"}},
		"libc and libm": {[]member{near}, wheel.Report{Compiled: true, Binaries: []string{near.name}, Libraries: []string{"libc.so.6", "libm.so.6"},
			Versions: map[string]string{"GLIBC": "2.29"}, Policy: "manylinux_2_29_x86_64"}},
		"library of its own": {[]member{use, far}, wheel.Report{Compiled: true, Binaries: []string{use.name, far.name}, Versions: map[string]string{}, Policy: "manylinux_2_5_x86_64"}},
		"library of the platform": {[]member{use}, wheel.Report{Compiled: true, Binaries: []string{use.name}, Libraries: []string{"libfar.so.7"},
			External: []string{"libfar.so.7"}, Versions: map[string]string{}, Why: []string{"needs libfar.so.7"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data := pack(record(append(tt.members, good()...)))
			got, err := wheel.Audit(bytes.NewReader(data), int64(len(data)))
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Error(d, err)
			}
		})
	}
	data := pack(record(append(good(), member{"demo/torn.so", near.data[:200]})))
	if r, err := wheel.Audit(bytes.NewReader(data), int64(len(data))); !errors.Is(err, fault.Malformed) {
		t.Errorf("torn library: %+v, %v", r, err)
	}
}
