package wheel

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// promised are the libraries that a manylinux wheel may take from the platform:
// the list of PEP 599, which PEP 600 keeps for all newer policies. What auditwheel
// 6.8 allows besides (zlib, expat, atomic, anl, mvec) is left out here: a minimal
// platform has not all of it.
var promised = map[string]bool{
	"libgcc_s.so.1": true, "libstdc++.so.6": true, "libm.so.6": true, "libdl.so.2": true, "librt.so.1": true, "libc.so.6": true,
	"libnsl.so.1": true, "libutil.so.1": true, "libpthread.so.0": true, "libresolv.so.2": true, "libX11.so.6": true,
	"libXext.so.6": true, "libXrender.so.1": true, "libICE.so.6": true, "libSM.so.6": true, "libGL.so.1": true,
	"libgobject-2.0.so.0": true, "libgthread-2.0.so.0": true, "libglib-2.0.so.0": true,
}

// policies gives, per minor version of glibc 2, the highest symbol versions of
// the compiler's libraries that distributions of its age have (auditwheel 6.8.2,
// policy/manylinux-policy.json, x86_64).
var policies = []struct {
	glibc                int
	glibcxx, cxxabi, gcc string
}{
	{5, "3.4.8", "1.3.1", "4.2.0"},
	{12, "3.4.13", "1.3.3", "4.3.0"},
	{17, "3.4.19", "1.3.7", "4.8.0"},
	{24, "3.4.22", "1.3.10", "4.8.0"},
	{27, "3.4.24", "1.3.11", "7.0.0"},
	{31, "3.4.28", "1.3.12", "7.0.0"},
	{34, "3.4.29", "1.3.13", "7.0.0"},
	{35, "3.4.30", "1.3.13", "12.0.0"},
	{39, "3.4.33", "1.3.15", "14.0.0"},
}

// named are symbol versions that are words, and the glibc of their age.
var named = map[string]int{"CXXABI_TM_1": 17, "CXXABI_FLOAT128": 24, "GLIBC_ABI_DT_RELR": 36}

// judge fills External, Versions and Policy.
func (r *Report) judge(n needs) {
	for _, name := range r.Libraries {
		if !promised[name] && !strings.HasPrefix(name, "ld-linux") && !strings.HasPrefix(name, "ld64.so") {
			r.External = append(r.External, name)
			r.Why = append(r.Why, "needs "+name)
		}
	}
	machine := ""
	for m := range n.machines {
		machine = m
	}
	if len(n.machines) != 1 || !manylinuxMachines[machine] {
		r.Why = append(r.Why, "machine is not one of manylinux")
	}
	oldest := 17
	if machine == "x86_64" || machine == "i686" {
		oldest = 5
	}
	for _, v := range slices.Sorted(maps.Keys(n.versions)) {
		glibc, why := r.need(v)
		if why != "" {
			r.Why = append(r.Why, why)
		}
		oldest = max(oldest, glibc)
	}
	if len(r.Why) == 0 {
		r.Policy = fmt.Sprintf("manylinux_2_%d_%s", oldest, machine)
	}
}

// need records one symbol version and returns the minor version of the glibc of
// the first policy that has it.
func (r *Report) need(v string) (glibc int, why string) {
	if glibc, ok := named[v]; ok {
		return glibc, ""
	}
	i := strings.LastIndexByte(v, '_')
	if i < 0 || !dotted(v[i+1:]) {
		return 0, "symbol version " + v
	}
	family, version := v[:i], v[i+1:]
	if newer(version, r.Versions[family]) {
		r.Versions[family] = version
	}
	if family == "GLIBC" {
		if parts := strings.Split(version, "."); parts[0] == "2" && len(parts) > 1 {
			minor, _ := strconv.Atoi(parts[1])
			return minor, ""
		}
		return 0, "symbol version " + v
	}
	for _, p := range policies {
		have := map[string]string{"GLIBCXX": p.glibcxx, "CXXABI": p.cxxabi, "GCC": p.gcc}[family]
		if have != "" && !newer(version, have) {
			return p.glibc, ""
		}
	}
	if slices.Contains([]string{"GLIBCXX", "CXXABI", "GCC"}, family) {
		return 0, "symbol version " + v + " is newer than all policies"
	}
	return 0, "" // of a library that is external anyway, or promised without versions
}

// dotted reports whether s is numbers with dots between them.
func dotted(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if n, err := strconv.Atoi(part); err != nil || n < 0 || part[0] == '+' {
			return false
		}
	}
	return true
}

// newer compares dotted numbers; anything is newer than "".
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(x, y, func(a, b string) int {
		m, _ := strconv.Atoi(a)
		n, _ := strconv.Atoi(b)
		return m - n
	}) > 0
}
