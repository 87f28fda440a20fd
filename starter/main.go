// Command starter starts, inspects and steers mirror cycles.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// The exit codes; others script against them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // command line or spec
	exitPartly      = 3 // some mirrors or regions; --json says which
	exitHeld        = 4
	exitInterrupted = 130
)

// status is an error that only carries an exit code: what there was to say has been said.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	return exitCode(ctx, root.ExecuteContext(ctx))
}

func exitCode(ctx context.Context, err error) int {
	var s status
	var faults mirrorspec.Faults
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &s):
		return int(s)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "starter: interrupted")
		return exitInterrupted
	case errors.As(err, &faults):
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "starter:", err)
	var r ran
	if !errors.As(err, &r) || errors.Is(err, errUsage) || errors.Is(err, fault.Config) {
		return exitUsage
	}
	return exitFailed
}

// ran is an error of a command that was understood; every other one is about the command line.
type ran struct{ error }

func (r ran) Unwrap() error { return r.error }

func markRan(c *cobra.Command) {
	for _, sub := range c.Commands() {
		if f := sub.RunE; f != nil {
			sub.RunE = func(c *cobra.Command, args []string) error {
				if err := f(c, args); err != nil {
					return ran{err}
				}
				return nil
			}
		}
		markRan(sub)
	}
}

// errUsage marks mistakes on the command line.
var errUsage = errors.New("see --help")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "starter",
		Short:         "Keep package mirrors that never lose a package",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see starter %s --help", err, c.Name())
	})
	g := new(globals)
	root.PersistentFlags().BoolVar(&g.json, "json", false, "print one JSON object instead of text")
	root.AddCommand(validateCmd(g), setupCmd(g), upCmd(g), runCmd(g), scheduleCmd(g), statusCmd(g), releasesCmd(g), whyCmd(g), verifyCmd(g),
		planCmd(g), approveCmd(g), holdCmd(g), resumeCmd(g), rollbackCmd(g), regionCmd(g), wheelsCmd(g), doctorCmd(g), initCmd(), clientConfigCmd(g), serveCmd(), originCmd(), healthcheckCmd(), demoCmd(), versionCmd(g))
	markRan(root)
	return root
}

// globals are the flags that every command has.
type globals struct{ json bool }
