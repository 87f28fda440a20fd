package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mirrorcycle/internal/demo"
	"mirrorcycle/internal/mirror"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/serve"
	"mirrorcycle/mirrorspec"
)

// upSpec loads the spec, or writes the demo's and starts its upstream, which
// changes from begin on: what it prints would tear the progress of a cycle.
func upSpec(w io.Writer, args []string, dir string, o upOptions, held ports, ends *stack) (spec *mirrorspec.Spec, begin func(), err error) {
	begin = func() {}
	file := specFile(args)
	if len(args) == 0 && os.Getenv("MIRRORCYCLE_SPEC") == "" {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			o.demo = true
		}
	}
	if !o.demo {
		spec, err = mirrorspec.Load(file)
		return spec, begin, err
	}
	u, err := demo.New(demo.Options{Dir: filepath.Join(dir, "upstream")})
	if err != nil {
		return nil, nil, err
	}
	address, err := listen(8070, u.Handler(), ends)
	if err != nil {
		return nil, nil, err
	}
	file = filepath.Join(dir, "mirrors.toml")
	keyring := filepath.Join(dir, "demo-keyring.gpg")
	if err := os.WriteFile(keyring, u.Keyring(), 0o644); err != nil {
		return nil, nil, err
	}
	here, err := held.hold(8081)
	if err != nil {
		return nil, nil, err
	}
	there, err := held.hold(8082)
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(file, demoSpec(dir, "http://"+address, keyring, here, there), 0o644); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(w, "demo upstream at http://%s, spec in %s\n", address, file)
	spec, err = mirrorspec.Load(file)
	return spec, func() { stepping(w, u, o.step, ends) }, err
}

// stepping lets the demo publish something new once in a while, and whenever the
// process gets SIGUSR1. Without a period only the signal does.
func stepping(w io.Writer, u *demo.Upstream, every time.Duration, ends *stack) {
	stop, asked := make(chan struct{}), make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	ends.push(func() { signal.Stop(asked); close(stop) })
	go func() {
		for {
			var due <-chan time.Time
			if every > 0 {
				due = time.After(every)
			}
			select {
			case <-stop:
				return
			case <-due:
			case <-asked:
			}
			if err := u.Step(); err != nil {
				slog.Error("demo upstream", "error", err)
				return
			}
			fmt.Fprintf(w, "%s upstream: %s\n", time.Now().Format(time.TimeOnly), u.Describe())
		}
	}()
}

func demoSpec(dir, upstream, keyring, here, there string) []byte {
	return []byte(fmt.Sprintf(`# Written by starter up --demo. Times are short so that everything can be watched.
[cycle]
name = "demo"
every = "10s"

[storage]
name = "demo"
root = %q
state = %q
min-free = "100MB"
rollback-keep = "10m"

[[region]]
name = "here"
dir = %q
url = "http://%s"
keep = "1m"
index-max-age = "10s"

[[region]]
name = "there"
dir = %q
url = "http://%s"
keep = "1m"
index-max-age = "10s"

[[mirror]]
name = "debian"
kind = "apt"
upstream = ["%s/debian"]
suites = ["demo", "demo-updates"]
components = ["main"]
architectures = ["amd64"]
keyring = %q
grace = "1m"

[[mirror]]
name = "pypi"
kind = "pypi"
upstream = ["%s/pypi"]
projects = ["*"]
grace = "1m"
`, filepath.Join(dir, "trees"), filepath.Join(dir, "state"), filepath.Join(dir, "regions", "here"), here,
		filepath.Join(dir, "regions", "there"), there, upstream, keyring, upstream))
}

// upRegions serves every directory region whose URL is on loopback, and the
// origin for regions that pull.
func upRegions(w io.Writer, spec *mirrorspec.Spec, held ports, ends *stack) error {
	for _, r := range spec.Regions {
		address, ok := loopback(r.URL)
		if r.Dir == "" || !ok {
			fmt.Fprintf(w, "region %s: %s has a web server of its own\n", r.Name, r.URL)
			continue
		}
		h, err := serve.New(serve.Options{Dir: r.Dir, Indexes: indexes(spec), IndexMaxAge: time.Duration(r.IndexMaxAge), Site: r.Site})
		if err != nil {
			return err
		}
		if err := held.serve(address, h, ends); err != nil {
			return fmt.Errorf("region %s: %w", r.Name, err)
		}
	}
	address, ok := loopback(spec.Storage.URL)
	if !ok {
		return nil
	}
	return held.serve(address, release.OriginHandler(spec.Storage.Root, spec.Storage.State), ends)
}

// indexes names the index mirror of each wheels mirror.
func indexes(spec *mirrorspec.Spec) map[string]string {
	out := map[string]string{}
	for _, m := range spec.Mirrors {
		if m.Kind == mirrorspec.Wheels {
			out[m.Name] = m.Index
		}
	}
	return out
}

// loopback returns the address to listen on for a plain URL without a path on loopback.
func loopback(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.Port() == "" {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Host, u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// listen serves h on a loopback port, prefer if it is free.
func listen(prefer int, h http.Handler, ends *stack) (string, error) {
	l, err := preferably(prefer)
	if err != nil {
		return "", err
	}
	serveOn(l, h, ends)
	return l.Addr().String(), nil
}

// preferably listens on a loopback port, prefer if it is free.
func preferably(prefer int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", prefer))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

// ports are loopback addresses that are held from their choice until something
// is served there: another up may look for free ones at the same moment.
type ports map[string]net.Listener

// hold takes a port, prefer if it is free, and returns its address.
func (p ports) hold(prefer int) (string, error) {
	l, err := preferably(prefer)
	if err != nil {
		return "", err
	}
	p[l.Addr().String()] = l
	return l.Addr().String(), nil
}

func (p ports) close() {
	for _, l := range p {
		l.Close()
	}
}

// serve serves h on an address that is held, or on a free one.
func (p ports) serve(address string, h http.Handler, ends *stack) error {
	l := p[address]
	if l == nil {
		return listenAt(address, h, ends)
	}
	delete(p, address)
	serveOn(l, h, ends)
	return nil
}

func listenAt(address string, h http.Handler, ends *stack) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w: is another starter up running, or is the port taken? change url in the spec", address, err)
	}
	serveOn(l, h, ends)
	return nil
}

func serveOn(l net.Listener, h http.Handler, ends *stack) {
	s := serve.Server(h)
	l = serve.Listener(l, serve.MaxConnections, serve.WriteStall)
	go func() { _ = s.Serve(l) }() // it returns when the server is closed
	ends.push(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	})
}

// hints tells a newcomer what to try.
func hints(w io.Writer, spec *mirrorspec.Spec, u upState) {
	fmt.Fprintln(w, "\nTry:")
	if u.ui != "" {
		fmt.Fprintf(w, "  %-24s every run, in Temporal's Web UI\n", u.ui)
	}
	for _, r := range spec.Regions {
		if _, ok := loopback(r.URL); !ok {
			continue
		}
		fmt.Fprintf(w, "  %-24s region %s: status page, and files for its clients\n", r.URL, r.Name)
		for _, m := range spec.Mirrors {
			if !m.GoesTo(r.Name) {
				continue
			}
			for _, line := range mirror.Hints(spec.Storage, m, r.URL+"/"+m.Name) {
				fmt.Fprintln(w, "  "+line)
			}
		}
	}
	fmt.Fprintln(w, "\nA cycle runs every", mirrorspec.Duration(every(spec)), "- Ctrl-C ends all; the next up continues from what is on disk.")
}
