package wheel

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
)

// maxELF bounds one shared library that is read into memory.
const maxELF = 1 << 30

// Report says what the compiled files of a wheel need besides the wheel.
type Report struct {
	Binaries []string // ELF files by path
	// Compiled: the wheel holds code for a machine, in ELF files or archives of
	// them, whatever its tags say. ByPython: files for one version of Python.
	Compiled, ByPython bool
	// Libraries that are needed and not in the wheel, by soname.
	Libraries []string
	// External are those of Libraries that no manylinux policy promises: the
	// platform must bring them.
	External []string
	Versions map[string]string // highest symbol version by family: GLIBC to "2.34"
	// Policy is the oldest manylinux tag that the wheel satisfies, such as
	// manylinux_2_17_x86_64; "" if none, and then Why says what stands against it.
	Policy string
	Why    []string
}

// Audit reads the ELF files of a wheel: which libraries they need (DT_NEEDED),
// up to which symbol versions, and what that makes of the wheel by PEP 600. It
// looks at names and versions, not at code: an instruction set above the
// machine's baseline is not seen. An ELF file that cannot be read is
// fault.Malformed.
func Audit(r io.ReaderAt, size int64) (Report, error) {
	a, err := open(r, size)
	if err != nil {
		return Report{}, fmt.Errorf("wheel: audit: %w", err)
	}
	out := Report{Versions: map[string]string{}}
	needs := needs{inside: map[string]bool{}, libraries: map[string]bool{}, versions: map[string]bool{}, machines: map[string]bool{}}
	for _, m := range a.order {
		binary, err := needs.add(m)
		if err != nil {
			return Report{}, &fault.Error{Kind: fault.Malformed, Op: "wheel: audit", Subject: m.Name, Err: err}
		}
		if binary {
			out.Binaries = append(out.Binaries, m.Name)
		}
		base := path.Base(m.Name)
		out.Compiled = out.Compiled || binary || slices.Contains(objects, path.Ext(base))
		out.ByPython = out.ByPython || path.Ext(base) == ".pyc" || binary && strings.Contains(base, ".cpython-")
	}
	for name := range needs.libraries {
		if !needs.inside[name] {
			out.Libraries = append(out.Libraries, name)
		}
	}
	slices.Sort(out.Libraries)
	if len(out.Binaries) > 0 {
		out.judge(needs)
	}
	return out, nil
}

// objects are the suffixes of compiled files, which a wheel need not hold as ELF.
var objects = []string{".so", ".a", ".o", ".lo", ".la", ".pyd", ".dll", ".dylib"}

// needs gathers what the ELF files of a wheel ask for.
type needs struct {
	inside, libraries map[string]bool
	versions          map[string]bool // as FAMILY_1.2
	machines          map[string]bool
}

func (n needs) add(m *zip.File) (binary bool, err error) {
	in, err := m.Open()
	if err != nil {
		return false, err
	}
	defer in.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != elf.ELFMAG {
		return false, nil // too short for one, or another format; RECORD proves the bytes
	}
	if m.UncompressedSize64 > maxELF {
		return true, fmt.Errorf("%d bytes", m.UncompressedSize64)
	}
	rest, err := io.ReadAll(io.LimitReader(in, maxELF))
	if err != nil {
		return true, err
	}
	n.inside[path.Base(m.Name)] = true
	return true, n.read(append(magic, rest...))
}

// read asks debug/elf, which promises no defence against hostile files.
func (n needs) read(data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable: %v", p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if err := modest(f); err != nil {
		return err
	}
	n.machines[machineOf(f)] = true
	if f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return nil // an object file or a static program
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range libraries {
		n.libraries[name] = true
	}
	sonames, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		return err
	}
	for _, name := range sonames {
		n.inside[name] = true
	}
	if f.Section(".gnu.version_r") == nil && f.SectionByType(elf.SHT_GNU_VERNEED) == nil {
		return nil
	}
	versions, err := f.DynamicVersionNeeds()
	if err != nil {
		return err
	}
	for _, library := range versions {
		for _, v := range library.Needs {
			n.versions[v.Dep] = true
		}
	}
	return nil
}

// maxNames bounds a table of names in bytes, and each name in it. Linkers write
// a few kB; debug/elf copies every name anew, and decompresses what a file says it has compressed.
const maxNames = 64 << 10

// modest refuses a file whose tables of names would have debug/elf take memory
// beyond all proportion to the file.
func modest(f *elf.File) error {
	for _, s := range f.Sections {
		if s.Type != elf.SHT_DYNAMIC && s.Type != elf.SHT_GNU_VERNEED {
			continue
		}
		if s.Flags&elf.SHF_COMPRESSED != 0 || s.Size > maxNames || int(s.Link) >= len(f.Sections) {
			return fmt.Errorf("section %q is no table that a linker makes", s.Name)
		}
		names := f.Sections[s.Link]
		if names.Flags&elf.SHF_COMPRESSED != 0 {
			return fmt.Errorf("section %q is compressed", names.Name)
		}
		text, err := names.Data()
		if err != nil {
			return err
		}
		for name := range bytes.SplitSeq(text, []byte{0}) {
			if len(name) > maxNames {
				return fmt.Errorf("section %q has a name of %d bytes", names.Name, len(name))
			}
		}
	}
	return nil
}

// machineOf names the machine as wheel tags do, "" if there is no such tag.
func machineOf(f *elf.File) string {
	little := f.Data == elf.ELFDATA2LSB
	switch {
	case f.Machine == elf.EM_X86_64 && f.Class == elf.ELFCLASS64:
		return "x86_64"
	case f.Machine == elf.EM_386:
		return "i686"
	case f.Machine == elf.EM_AARCH64 && little:
		return "aarch64"
	case f.Machine == elf.EM_ARM && little:
		return "armv7l"
	case f.Machine == elf.EM_PPC64 && little:
		return "ppc64le"
	case f.Machine == elf.EM_PPC64:
		return "ppc64"
	case f.Machine == elf.EM_S390:
		return "s390x"
	case f.Machine == elf.EM_RISCV && f.Class == elf.ELFCLASS64:
		return "riscv64"
	case f.Machine == elf.EM_LOONGARCH:
		return "loongarch64"
	}
	return ""
}

// String names the libraries and the policy in one line.
func (r Report) String() string {
	switch {
	case len(r.Binaries) == 0:
		return "no compiled code"
	case r.Policy != "":
		return r.Policy
	}
	return strings.Join(r.Why, "; ")
}
