// Command sbom lists the modules that are linked into each program, with their licences, and refuses what is not allowed.
//
// It ends with status 1, and names each module and file, when a licence is not
// on the list in allowed.go or cannot be told, or when docs/licences.md is not
// current. With -o it writes a CycloneDX bill of materials per program, and
// THIRD-PARTY-NOTICES: the texts that licences want to go along with binaries.
// The same modules give the same bytes.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"mirrorcycle/internal/fault"
)

// program is one that is built from this repository.
type program struct {
	name string
	dir  string // of its module, below the repository
	pkg  string
}

var programs = []program{{"starter", ".", "./starter"}, {"worker", ".", "./worker"}, {"temporal-dev", "devserver", "."}}

// options are what the command line gives.
type options struct {
	root    string // the repository
	out     string // where bills and notices go, "" for nowhere
	version string // of the programs
	update  bool   // rewrite the page rather than hold it against what is linked
	names   []string
}

func main() {
	o := options{root: "."}
	flag.StringVar(&o.out, "o", "", "write bills of materials and notices into this `directory`")
	flag.StringVar(&o.version, "version", "", "the programs' `version`, for the bills")
	flag.BoolVar(&o.update, "update", false, "rewrite "+page)
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: sbom [flags] [PROGRAM ...], in the repository; without names all programs")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.names = flag.Args()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o options) error {
	var all []linked
	var wrong []error
	for _, p := range programs {
		if len(o.names) > 0 && !slices.Contains(o.names, p.name) {
			continue
		}
		modules, err := modulesOf(filepath.Join(o.root, p.dir), p.pkg)
		if err != nil {
			return err
		}
		for _, m := range modules {
			wrong = append(wrong, m.licence())
		}
		all = append(all, linked{p, modules})
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if len(o.names) == 0 {
		if err := current(filepath.Join(o.root, page), render(all), o.update); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return write(o, all)
}

// current holds a generated file against what it ought to be.
func current(name string, want []byte, update bool) error {
	have, err := os.ReadFile(name)
	if err == nil && bytes.Equal(have, want) {
		return nil
	}
	if update {
		return os.WriteFile(name, want, 0o644)
	}
	return &fault.Error{Kind: fault.Stale, Op: "sbom: compare", Subject: name, Err: err, Advice: "run: go run ./deploy/sbom -update"}
}

func write(o options, all []linked) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for _, l := range all {
		data, err := bill(l, o.version)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.out, l.name+".cdx.json"), data, 0o644); err != nil {
			return err
		}
	}
	data, err := notices(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "THIRD-PARTY-NOTICES"), data, 0o644)
}
