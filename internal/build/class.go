package build

import (
	"bytes"
	"fmt"
	"regexp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
)

// Class is why a build failed.
type Class string

// The classes of failure. The first six are limits of the sandbox.
const (
	Timeout        Class = "timeout"
	Memory         Class = "memory"
	Disk           Class = "disk"
	Processes      Class = "processes"
	LogLimit       Class = "log-limit"
	Crash          Class = "crash"           // ended by a signal
	HeaderMissing  Class = "header-missing"  // of a C library, or the library itself: install it in the root
	Compiler       Class = "compiler"        // missing, or it refuses the source
	RequiresPython Class = "requires-python" // for another Python
	Dependency     Class = "dependency"      // the index lacks what the build needs
	BuildBackend   Class = "build-backend"   // setup.py or its like failed
	WrongWheel     Class = "wrong-wheel"     // not what was asked for, or not in itself consistent
	BadSDist       Class = "sdist"           // cannot be read
	Source         Class = "source"          // missing in the index mirror, or not what it says
	Unknown        Class = "unknown"
)

// signs are what a log shows of a failure, the most telling first. The last
// group, if there is one, is the message; else the whole line is.
var signs = []struct {
	class Class
	form  *regexp.Regexp
}{
	{Disk, regexp.MustCompile(`(?m)^.*(?:No space left on device|Disk quota exceeded|File too large).*$`)},
	{RequiresPython, regexp.MustCompile(`(?m)^.*(requires a different Python: .*)$`)},
	{Dependency, regexp.MustCompile(`(?m)^.*(Could not find a version that satisfies the requirement .*)$`)},
	{Dependency, regexp.MustCompile(`(?m)^.*(No matching distribution found for .*)$`)},
	{Crash, regexp.MustCompile(`(?m)^.*(?:died with <Signals\.|exit code: -[0-9]+$|Segmentation fault|internal compiler error).*$`)},
	{HeaderMissing, regexp.MustCompile(`(?m)fatal error: ([^\s:]+: No such file or directory)`)},
	{HeaderMissing, regexp.MustCompile(`(?m)^.*(cannot find -l[^\s:]+).*$`)},
	{HeaderMissing, regexp.MustCompile(`(?mi)^.*((?:Package '?\S+'?(?:, required by \S+)?,? (?:was )?not found|No package '\S+' found|Dependency \S+ not found).*)$`)},
	{HeaderMissing, regexp.MustCompile(`(?mi)^.*\b((?:pkg-config|\w+_config|\w+-config)\b.*\bnot found).*$`)},
	{Compiler, regexp.MustCompile(`(?mi)^.*((?:can't find|could not find|cannot find|unable to find) (?:a )?(?:Rust|C|C\+\+|Fortran)? ?compiler.*)$`)},
	{HeaderMissing, regexp.MustCompile(`(?m)^\s*(Could NOT find \w.*)$`)},
	{Compiler, regexp.MustCompile(`(?m)^\s*([^\s:]+\.(?:c|cc|cpp|cxx|h|hpp|pyx|rs|f90):[0-9]+:(?:[0-9]+:)? (?:fatal )?error: .*)$`)},
	{Compiler, regexp.MustCompile(`(?m)^\s*(error\[E[0-9]+\]: .*)$`)},
	{Compiler, regexp.MustCompile(`(?m)^.*\b(undefined reference to .*)$`)},
	{Compiler, regexp.MustCompile(`(?m)^.*(command '?\S*(?:gcc|g\+\+|cc|clang|cargo|rustc|gfortran)'? failed.*)$`)},
	{Compiler, regexp.MustCompile(`(?m)^.*(No such file or directory: '\S*(?:gcc|g\+\+|cc|clang|cargo|rustc|make|cmake)').*$`)},
	{BuildBackend, regexp.MustCompile(`(?m)^\s*((?:ModuleNotFoundError|ImportError|AttributeError|TypeError|ValueError|NameError|SyntaxError|RuntimeError|FileNotFoundError|PermissionError|OSError|KeyError|AssertionError|Exception)\b.*)$`)},
	{BuildBackend, regexp.MustCompile(`(?m)^\s*((?:[\w.]+Error|[\w.]*Exception|BackendUnavailable|BackendInvalid)\b: .*)$`)},
	{BuildBackend, regexp.MustCompile(`(?m)^\s*(CMake Error.*)$`)},
	{BuildBackend, regexp.MustCompile(`(?m)^\s*error: (\S+ .*)$`)}, // of distutils; pip's own have one word
	{BadSDist, regexp.MustCompile(`(?m)^.*(does not appear to be a Python project.*)$`)},
	{BuildBackend, regexp.MustCompile(`(?m)^.*((?:metadata-generation-failed|subprocess-exited-with-error|Failed building wheel for|Failed to build).*)$`)},
	{Unknown, regexp.MustCompile(`(?m)^\s*(?:ERROR|error|fatal): (\S.*)$`)}, // whatever the tool calls its error
}

// ours are the lines that tell how long a step took.
var ours = regexp.MustCompile(`(?m)^\[[0-9.]+ s, [0-9.]+ s of CPU: .*\]$`)

// classify says why a command ended as it did; "" if it ended well. A limit that
// was hit explains a failure better than what the log says of it.
func classify(out sandbox.Outcome) (Class, string) {
	log := out.Log.Bytes()
	switch {
	case out.LogLimit:
		return LogLimit, "printed more than the log may hold"
	case out.OutLimit:
		return Disk, "the result is larger than allowed"
	case out.Exit == 0 && !out.TimedOut:
		return "", ""
	case out.Refused > 0:
		return Processes, fmt.Sprintf("%d processes or threads too many were refused", out.Refused)
	case out.OOMKills > 0:
		return Memory, fmt.Sprintf("the kernel ended %d processes for want of memory", out.OOMKills)
	case out.TimedOut:
		return Timeout, "not done in time; last line: " + lastLine(log)
	case out.Exit > 128:
		return Crash, fmt.Sprintf("ended by signal %d", out.Exit-128)
	}
	for _, s := range signs {
		// The last one: those before it may have been probes, or led to it.
		if all := s.form.FindAllSubmatch(log, -1); len(all) > 0 {
			m := all[len(all)-1]
			return s.class, oneLine(string(m[len(m)-1]))
		}
	}
	return Unknown, fmt.Sprintf("exit status %d; last line: %s", out.Exit, lastLine(log))
}

// lastLine is what the tool said last.
func lastLine(log []byte) string {
	log = bytes.TrimSpace(ours.ReplaceAll(log, nil))
	return oneLine(string(log[bytes.LastIndexByte(log, '\n')+1:]))
}

// oneLine makes foreign text fit for a table.
func oneLine(s string) string { return fault.Line(s, 300) }
