package sandbox

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// address is where the index answers in a sandbox. Its network is empty, so the
// port is always free.
const address = "127.0.0.1:3141"

// inEmptyNetwork calls run on a thread whose network is a new one with nothing
// but loopback, and a listener there. What run starts is in that network; the
// listener can be served from any thread. The network belongs to the machine's
// user namespace, so nobody in the sandbox may change it. The thread stays
// locked until run returns: a process that dies with its parent dies with the
// thread that started it.
func inEmptyNetwork(run func(net.Listener) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- missing("network namespaces", err, "mount /proc")
			return
		}
		defer home.Close()
		err = enterAndRun(run)
		// A thread that cannot come back ends with this goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

func enterAndRun(run func(net.Listener) error) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return missing("network namespaces", err, "give the worker CAP_SYS_ADMIN")
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("sandbox: bring up loopback: %w", err)
	}
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return fmt.Errorf("sandbox: listen: %w", err)
	}
	defer l.Close()
	return run(l)
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}
