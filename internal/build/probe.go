package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/sandbox"
	"mirrorcycle/internal/wheel"
)

// probe prints what wheel tags depend on.
const probe = `import os, platform, sys, sysconfig
print("%d.%d" % sys.version_info[:2], platform.machine(), os.confstr("CS_GNU_LIBC_VERSION") or "")`

// Probe asks a root's Python which platform it is; python is as in 3.11. A root
// without that Python, or of another libc than glibc, is fault.Config.
func Probe(ctx context.Context, s *sandbox.Sandbox, root, python string) (wheel.Platform, error) {
	var answer bytes.Buffer
	out, err := s.Run(ctx, sandbox.Command{Root: root, Args: []string{"sh", "-c", `exec "$0" -I -c "$1" >&3`, "python" + python, probe}, Output: &answer})
	if err != nil {
		return wheel.Platform{}, fmt.Errorf("build: probe: %w", err)
	}
	f := strings.Fields(answer.String())
	if out.Exit == 0 && len(f) == 4 && f[2] == "glibc" {
		p := wheel.Platform{Python: f[0], Machine: f[1], Libc: f[2], Version: f[3]}
		if err := p.Check(); err == nil && p.Python == python {
			return p, nil
		}
	}
	return wheel.Platform{}, &fault.Error{Kind: fault.Config, Op: "build: probe", Subject: root, Err: errors.New(lastLine(append(out.Log.Bytes(), answer.Bytes()...))),
		Advice: "the root needs python" + python + " with venv and pip, on glibc"}
}
