package afslab

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"mirrorcycle/deploy/afs-cell/netns"
)

// Stop takes the power from a host; Start gives it back, as the end of the test does.
func (c *Cell) Stop(tb testing.TB, host string) { tb.Helper(); c.fault(tb, host, "stop", "start") }

// Start boots a host and waits until it serves. A host that runs is left alone.
func (c *Cell) Start(tb testing.TB, host string) { tb.Helper(); c.must(tb, "start", host) }

// Cut pulls a host's network cable; Heal plugs it in, as the end of the test does.
func (c *Cell) Cut(tb testing.TB, host string) { tb.Helper(); c.fault(tb, host, "cut", "heal") }

// Heal plugs a host's network cable in.
func (c *Cell) Heal(tb testing.TB, host string) { tb.Helper(); c.must(tb, "heal", host) }

// Slow lets a host receive at this rate only, such as "20mbit", until the test
// ends or Slow says "off": so that a release lasts long enough to interrupt it.
func (c *Cell) Slow(tb testing.TB, host, rate string) {
	tb.Helper()
	c.must(tb, "slow", host, rate)
	if rate != "off" {
		tb.Cleanup(func() { c.must(tb, "slow", host, "off") })
	}
}

// Remount unmounts and mounts a host's AFS client, which forgets all it knew.
func (c *Cell) Remount(tb testing.TB, host string) {
	tb.Helper()
	c.must(tb, "umount", host)
	c.must(tb, "mount", host)
}

// Unmount ends a host's AFS client until the end of the test.
func (c *Cell) Unmount(tb testing.TB, host string) { c.fault(tb, host, "umount", "mount") }

// Revive starts a host's AFS client anew if it has died, as this FUSE client
// does at times, and tells whether err, of a command there, says so.
func (c *Cell) Revive(tb testing.TB, host string, err error) bool {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), "Transport endpoint is not connected") {
		return false
	}
	c.reviving.Lock()
	defer c.reviving.Unlock()
	tb.Logf("the client of %s died and is started anew", host)
	c.must(tb, "mount", host)
	return true
}

func (c *Cell) fault(tb testing.TB, host, verb, undo string) {
	tb.Helper()
	c.must(tb, verb, host)
	tb.Cleanup(func() { c.must(tb, undo, host) })
}

func (c *Cell) must(tb testing.TB, args ...string) {
	tb.Helper()
	if _, err := c.cell(args...); err != nil {
		tb.Fatal(err)
	}
}

// Dial connects to a literal address as a process in the host would: for an
// http.Transport of a client that lives in a region.
func (c *Cell) Dial(ctx context.Context, host, addr string) (net.Conn, error) {
	return netns.Dial(ctx, c.Init(host), addr)
}

// Listen listens on a literal address inside a host: for a server of this
// process that commands in the host are to reach.
func (c *Cell) Listen(ctx context.Context, host, addr string) (net.Listener, error) {
	return netns.Listen(ctx, c.Init(host), addr)
}

// ListenPacket opens a UDP socket inside a host.
func (c *Cell) ListenPacket(ctx context.Context, host, addr string) (net.PacketConn, error) {
	return netns.ListenPacket(ctx, c.Init(host), addr)
}

// Path is a path of a host as this process reaches it, until the host is stopped.
func (c *Cell) Path(host, name string) string {
	return fmt.Sprintf("/proc/%d/root%s", c.Init(host), name)
}
