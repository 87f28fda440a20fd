// Command temporal-dev runs a whole Temporal server, with SQLite and the Web UI,
// in one process for development, demonstrations and tests.
//
// It takes the flags of "temporal server start-dev", so one binary serves
// "make run" and testsuite.StartDevServer{ExistingPath: …}. It is a module of its
// own because the server brings hundreds of modules that the product never needs.
//
//	temporal-dev server start-dev [flags]   serve until SIGINT or SIGTERM
//	temporal-dev version [--short]          name the embedded versions
//
// There is no authentication and no migration: keep it on loopback, and name the
// SQLite file after "temporal-dev version --short", because a newer server cannot
// read an older server's file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	uiversion "github.com/temporalio/ui-server/v2/server/version"
	"go.temporal.io/server/common/headers"
)

// Exit codes, the same as starter's.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `usage: temporal-dev [server start-dev] [flags]
       temporal-dev version [--short]
`

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command runs one command line and returns its exit code.
func command(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "version" {
		return printVersion(args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "server" {
		args = args[1:]
		if len(args) > 0 && args[0] == "start-dev" {
			args = args[1:]
		}
	}
	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		fmt.Fprintf(stderr, "temporal-dev: %v\n%s", err, usage)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal during an orderly stop kills at once.
	context.AfterFunc(ctx, stop)
	if err := serve(ctx, opts, stdout); err != nil {
		fmt.Fprintf(stderr, "temporal-dev: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// printVersion prints the embedded versions; --short prints the server's alone.
func printVersion(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 0:
		fmt.Fprintf(stdout, "temporal-dev server %s, ui %s\n", headers.ServerVersion, uiversion.UIVersion)
	case len(args) == 1 && (args[0] == "--short" || args[0] == "-short"):
		fmt.Fprintln(stdout, headers.ServerVersion)
	default:
		fmt.Fprintf(stderr, "temporal-dev: version: unknown argument %q\n%s", args[0], usage)
		return exitUsage
	}
	return exitDone
}
