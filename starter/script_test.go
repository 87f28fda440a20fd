package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this very program as "starter".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"starter": func() { os.Exit(run(os.Args[1:])) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1") // nobody listens there
		return nil
	}})
}
