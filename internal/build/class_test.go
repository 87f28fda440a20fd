package build_test

import (
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/sandbox"
)

func failed(log string) sandbox.Outcome {
	return sandbox.Outcome{Exit: 1, Log: sandbox.Log{Head: []byte(log)}}
}

func TestClassify(t *testing.T) {
	const wrapped = "error: subprocess-exited-with-error\n\n  × Building wheel for x (pyproject.toml) did not run successfully.\n  │ exit code: 1\n  ╰─> [9 lines of output]\n"
	tests := map[string]struct {
		out     sandbox.Outcome
		class   build.Class
		message string
	}{
		"built":              {sandbox.Outcome{}, "", ""},
		"built though noisy": {sandbox.Outcome{Log: sandbox.Log{Head: []byte("No space left on device")}}, "", ""},
		"timeout":            {sandbox.Outcome{Exit: 137, TimedOut: true, Log: sandbox.Log{Head: []byte("a\nwaiting\n")}}, build.Timeout, "not done in time; last line: waiting"},
		"memory":             {sandbox.Outcome{Exit: 1, OOMKills: 2}, build.Memory, "the kernel ended 2 processes for want of memory"},
		"processes":          {sandbox.Outcome{Exit: 137, TimedOut: true, Refused: 7}, build.Processes, "7 processes or threads too many were refused"},
		"log":                {sandbox.Outcome{Exit: 137, LogLimit: true}, build.LogLimit, "printed more than the log may hold"},
		"result too large":   {sandbox.Outcome{Exit: 137, OutLimit: true}, build.Disk, "the result is larger than allowed"},
		"signal":             {sandbox.Outcome{Exit: 139}, build.Crash, "ended by signal 11"},
		"disk":               {failed(wrapped + "      OSError: [Errno 28] No space left on device\n"), build.Disk, "OSError: [Errno 28] No space left on device"},
		"header":             {failed(wrapped + "      src/x.c:3:10: fatal error: ffi.h: No such file or directory\n      error: command '/usr/bin/x86_64-linux-gnu-gcc' failed with exit code 1\n"), build.HeaderMissing, "ffi.h: No such file or directory"},
		"library":            {failed("/usr/bin/ld: cannot find -lxml2: No such file or directory\n"), build.HeaderMissing, "cannot find -lxml2"},
		"pkg-config":         {failed("  Package 'libvirt', required by 'virtual:world', not found\n"), build.HeaderMissing, "Package 'libvirt', required by 'virtual:world', not found"},
		"config program":     {failed("Error: pg_config executable not found.\n"), build.HeaderMissing, "pg_config executable not found"},
		"no compiler":        {failed("error: can't find Rust compiler\n"), build.Compiler, "can't find Rust compiler"},
		"compile error":      {failed("x.c:12:5: error: unknown type name 'foo'\nerror: command '/usr/bin/gcc' failed with exit code 1\n"), build.Compiler, "x.c:12:5: error: unknown type name 'foo'"},
		"its last error":     {failed("conftest.c:1:1: error: probe\nx.c:12:5: error: unknown type name 'foo'\nerror: command '/usr/bin/gcc' failed with exit code 1\n"), build.Compiler, "x.c:12:5: error: unknown type name 'foo'"},
		"a compiler's end":   {failed("error: command '/usr/bin/gcc' failed with exit code 1\n"), build.Compiler, "command '/usr/bin/gcc' failed with exit code 1"},
		"linker":             {failed("/usr/bin/ld: x.o: in function `f': x.c:(.text+0x1): undefined reference to `g'\n"), build.Compiler, "undefined reference to `g'"},
		"rust":               {failed("error[E0433]: failed to resolve: use of undeclared crate\nerror: could not compile `x`\n"), build.Compiler, "error[E0433]: failed to resolve: use of undeclared crate"},
		"cmake":              {failed("CMake Error at CMakeLists.txt:3 (find_package):\n  By not providing FindX.cmake\n"), build.BuildBackend, "CMake Error at CMakeLists.txt:3 (find_package):"},
		"a chain":            {failed("ModuleNotFoundError: No module named 'a'\nDuring handling of the above exception, another exception occurred:\nRuntimeError: install a or b\n"), build.BuildBackend, "RuntimeError: install a or b"},
		"other python":       {failed("ERROR: Package 'x' requires a different Python: 3.11.2 not in '>=3.12'\n"), build.RequiresPython, "requires a different Python: 3.11.2 not in '>=3.12'"},
		"dependency":         {failed(wrapped + "      ERROR: Could not find a version that satisfies the requirement hatchling (from versions: none)\n"), build.Dependency, "Could not find a version that satisfies the requirement hatchling (from versions: none)"},
		"setup.py":           {failed(wrapped + "      ModuleNotFoundError: No module named 'numpy'\n"), build.BuildBackend, "ModuleNotFoundError: No module named 'numpy'"},
		"own exception":      {failed("  distutils.errors.DistutilsError: bad\n"), build.BuildBackend, "distutils.errors.DistutilsError: bad"},
		"backend, silent":    {failed("ERROR: Failed building wheel for x\n"), build.BuildBackend, "Failed building wheel for x"},
		"backend crashed":    {failed("  │ exit code: -11\n"), build.Crash, "│ exit code: -11"},
		"distutils":          {failed("      error: invalid command 'bdist_wininst'\n" + wrapped + "ERROR: Failed building wheel for x\nERROR: Failed to build one or more wheels\n"), build.BuildBackend, "invalid command 'bdist_wininst'"},
		"no source":          {failed("Processing ./in/a-1.tar.gz\nERROR: file:///tmp/in/a-1.tar.gz does not appear to be a Python project: neither 'setup.py' nor 'pyproject.toml' found.\n[7.52 s, 0.93 s of CPU: pip wheel]\n"), build.BadSDist, "does not appear to be a Python project: neither 'setup.py' nor 'pyproject.toml' found."},
		"an error":           {failed("ERROR: no such option: -x\nSee pip help.\n"), build.Unknown, "no such option: -x"},
		"our own last line":  {failed("boo\n[7.52 s, 0.93 s of CPU: pip wheel]\n"), build.Unknown, "exit status 1; last line: boo"},
		"unknown":            {failed("boo\x1b[31m\xff\n"), build.Unknown, "exit status 1; last line: boo\ufffd"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if class, message := build.Classify(tt.out); class != tt.class || message != tt.message {
				t.Errorf("%s: %q", class, message)
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte("x.c:3:10: fatal error: ffi.h: No such file or directory"))
	f.Fuzz(func(t *testing.T, log []byte) {
		class, message := build.Classify(sandbox.Outcome{Exit: 1, Log: sandbox.Log{Head: log}})
		if class == "" || len(message) > 400 {
			t.Errorf("%q: %q", class, message)
		}
		for _, c := range message {
			if c < 0x20 || c == 0x7f {
				t.Errorf("%q", message)
			}
		}
	})
}
