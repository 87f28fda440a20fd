package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
)

// module is one that a program is linked with.
type module struct {
	path, version string
	sum           string // as go.sum has it, of the whole module
	dir           string
	packages      []string // directories of the packages that are linked
	needs         []string // paths of the modules that these packages import
	texts         []string // files of licences
	extra         []string // files of notices, patents and copyrights
	licences      []string // SPDX identifiers, sorted
}

// linked is a program with its modules by path; the program's own is among them.
type linked struct {
	program
	modules []*module
}

// std is the path of Go's standard library, as package URLs name it.
const std = "std"

// listed is what go list -json says of a package.
type listed struct {
	ImportPath, Dir string
	Imports         []string
	Standard        bool
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// modulesOf lists what the package in a module's directory is linked with on
// Linux, without cgo. Tests' imports do not count.
func modulesOf(dir, pkg string) ([]*module, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Imports,Standard,Module", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, &fault.Error{Kind: fault.Config, Op: "sbom: list", Subject: pkg, Err: errors.New(err.Error() + ": " + strings.TrimSpace(stderr.String()))}
	}
	sums, err := readSums(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	goroot, version, err := goRoot()
	if err != nil {
		return nil, err
	}
	byPath := map[string]*module{}
	owner := map[string]string{} // import path to module
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		m := p.module(goroot, version)
		if have := byPath[m.path]; have != nil {
			m = have
		}
		m.packages = append(m.packages, p.Dir)
		m.sum = sums[m.path+" "+m.version]
		byPath[m.path], owner[p.ImportPath] = m, m.path
		all = append(all, p)
	}
	for _, p := range all {
		m := byPath[owner[p.ImportPath]]
		for _, i := range p.Imports {
			if to := owner[i]; to != "" && to != m.path && m.path != std {
				m.needs = append(m.needs, to)
			}
		}
	}
	return sorted(byPath), nil
}

func (p listed) module(goroot, version string) *module {
	switch m := p.Module; {
	case p.Standard || m == nil:
		return &module{path: std, version: version, dir: goroot}
	case m.Replace != nil:
		return &module{path: m.Replace.Path, version: m.Replace.Version, dir: m.Replace.Dir}
	default:
		return &module{path: m.Path, version: m.Version, dir: m.Dir}
	}
}

func sorted(byPath map[string]*module) []*module {
	var out []*module
	for _, m := range byPath {
		slices.Sort(m.needs)
		m.needs = slices.Compact(m.needs)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *module) int { return strings.Compare(a.path, b.path) })
	return out
}

func readSums(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 {
			out[f[0]+" "+f[1]] = f[2]
		}
	}
	return out, nil
}

func goRoot() (dir, version string, err error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return "", "", err
	}
	f := strings.Fields(string(out))
	return f[0], strings.TrimPrefix(f[1], "go"), nil
}
