package service

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// CrashEnv makes a worker kill itself at a write boundary, for tests of node
// failure: "point:n" means at the n-th time that point is reached.
const CrashEnv = "MIRRORCYCLE_TEST_CRASH"

// CrashFromEnv returns the hook that CrashEnv asks for, nil if it is not set.
func CrashFromEnv() func(string) {
	point, count, ok := strings.Cut(os.Getenv(CrashEnv), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil {
		return nil
	}
	var seen atomic.Int64
	return func(p string) {
		if p == point && seen.Add(1) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: nothing more may happen here
		}
	}
}
