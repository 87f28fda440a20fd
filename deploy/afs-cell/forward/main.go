// Command forward carries TCP connections between this machine's loopback and a host of the AFS cell.
//
// A host of the cell is a network namespace without uplink, so nothing routes
// there: a connection accepted on one side is dialled on the other. It prints
// the address that it listens on.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"mirrorcycle/deploy/afs-cell/netns"
)

func main() {
	pid := flag.Int("pid", 0, "`process` of the host, as cell status prints it")
	listen := flag.String("listen", "", "literal `address` to accept connections on")
	to := flag.String("to", "", "literal `address` to carry them to")
	inside := flag.Bool("inside", false, "listen inside the host and dial on this machine, instead of the other way round")
	flag.Parse()
	if *pid == 0 || *listen == "" || *to == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, link{pid: *pid, listen: *listen, to: *to, inside: *inside}); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

type link struct {
	pid        int
	listen, to string
	inside     bool
}

func run(ctx context.Context, l link) error {
	ln, err := l.accept(ctx)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	context.AfterFunc(ctx, func() { ln.Close() })
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			peer, err := l.dial(ctx)
			if err != nil {
				fmt.Fprintln(os.Stderr, "forward:", err)
				return
			}
			join(c, peer)
		}()
	}
}

func (l link) accept(ctx context.Context) (net.Listener, error) {
	if l.inside {
		return netns.Listen(ctx, l.pid, l.listen)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", l.listen)
}

func (l link) dial(ctx context.Context) (net.Conn, error) {
	if l.inside {
		return new(net.Dialer).DialContext(ctx, "tcp", l.to)
	}
	return netns.Dial(ctx, l.pid, l.to)
}

// join copies both ways until both sides have said all, and passes on each end.
func join(a, b net.Conn) {
	defer b.Close()
	var g sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		g.Go(func() {
			io.Copy(pair[0], pair[1])
			if t, ok := pair[0].(*net.TCPConn); ok {
				t.CloseWrite()
			}
		})
	}
	g.Wait()
}
