package sandbox

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A command meets less of the kernel than other programs: sockets of the
// families INET, INET6 and UNIX only, and none of the calls that builds have no
// use for and that gave away kernels before. What is refused is answered as by a
// kernel without it, so that programs do without.

// calls are the system calls of one architecture that the filter looks at.
type calls struct {
	arch    uint32
	sockets []uint32 // their first argument is an address family
	refused []uint32
	x32     bool // numbers from x32Bit on belong to another ABI, which nobody needs
}

const x32Bit = 0x4000_0000

// families are the address families that a command may open sockets of.
var families = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}

// machines are what the kernel calls the architectures of this program.
var machines = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "386": unix.AUDIT_ARCH_I386, "arm": unix.AUDIT_ARCH_ARM,
	"riscv64": unix.AUDIT_ARCH_RISCV64, "loong64": unix.AUDIT_ARCH_LOONGARCH64, "ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X}

// known are the calls of the machine, and of the 32-bit programs that it may run.
func known() []calls {
	native := calls{arch: machines[runtime.GOARCH], x32: runtime.GOARCH == "amd64",
		sockets: []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR},
		refused: []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_USERFAULTFD,
			unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN}}
	all := []calls{native}
	switch runtime.GOARCH {
	case "amd64": // socketcall, 102, keeps the family where a filter cannot look
		all = append(all, calls{arch: unix.AUDIT_ARCH_I386, sockets: []uint32{359, 360}, refused: []uint32{425, 426, 427, 374, 286, 287, 288, 357, 336, 102}})
	case "arm64":
		all = append(all, calls{arch: unix.AUDIT_ARCH_ARM, sockets: []uint32{281, 288}, refused: []uint32{425, 426, 427, 388, 309, 310, 311, 386, 364}})
	}
	return all
}

// Where struct seccomp_data has what is looked at.
const atNumber, atArch, atArguments = 0, 4, 16

// program is a filter in classic BPF; nil on a machine that has no table here.
func program() []unix.SockFilter {
	if machines[runtime.GOARCH] == 0 {
		return nil
	}
	out := []unix.SockFilter{load(atArch)}
	for _, c := range known() {
		block := c.block()
		out = append(out, unless(c.arch, len(block)))
		out = append(out, block...)
	}
	return append(out, refuse(unix.ENOSYS))
}

// block judges a call of one architecture.
func (c calls) block() []unix.SockFilter {
	family := uint32(atArguments)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		family += 4 // the lower half of the argument is the second one
	}
	out := []unix.SockFilter{load(atNumber)}
	if c.x32 {
		out = append(out, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32Bit, Jf: 1}, refuse(unix.ENOSYS))
	}
	for _, n := range c.refused {
		out = append(out, unless(n, 1), refuse(unix.ENOSYS))
	}
	for _, n := range c.sockets {
		judge := []unix.SockFilter{load(family)}
		for _, f := range families {
			judge = append(judge, unless(f, 1), allow())
		}
		judge = append(judge, refuse(unix.EAFNOSUPPORT))
		out = append(out, unless(n, len(judge)))
		out = append(out, judge...)
	}
	return append(out, allow())
}

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

// unless leaves out the next n instructions if what was loaded is another value.
func unless(value uint32, n int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: uint8(n)}
}

func allow() unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
}

func refuse(errno unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// filter pours the program into a pipe, as bubblewrap reads it; nil if there is none.
func filter() (*os.File, error) {
	p := program()
	if p == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, p); err != nil {
		return nil, err
	}
	return pour(b.String())
}
