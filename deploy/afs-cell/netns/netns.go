// Package netns opens sockets in the network namespace of another process.
package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects to a literal address as a process beside pid would.
func Dial(ctx context.Context, pid int, addr string) (net.Conn, error) {
	return within(pid, func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	})
}

// Listen listens on a literal address as a process beside pid would.
func Listen(ctx context.Context, pid int, addr string) (net.Listener, error) {
	return within(pid, func() (net.Listener, error) {
		var l net.ListenConfig
		return l.Listen(ctx, "tcp", addr)
	})
}

// ListenPacket opens a UDP socket as a process beside pid would.
func ListenPacket(ctx context.Context, pid int, addr string) (net.PacketConn, error) {
	return within(pid, func() (net.PacketConn, error) {
		var l net.ListenConfig
		return l.ListenPacket(ctx, "udp", addr)
	})
}

// within makes a socket on a thread of its own that has entered the namespace
// of pid; a socket stays in the namespace in which it was made. The thread is
// thrown away: it could not always go back.
func within[T any](pid int, open func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var r result
		if r.err = enter(pid); r.err == nil {
			r.value, r.err = open()
		}
		done <- r
	}()
	r := <-done
	return r.value, r.err
}

func enter(pid int) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("netns: enter %d: %w", pid, err)
	}
	return nil
}
