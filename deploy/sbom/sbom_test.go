package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mirrorcycle/internal/fault"
)

const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General
Public License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.`

func TestLicenceOfAModule(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
		fault string // the file that the error has to name
	}{
		"allowed":                         {files: map[string]string{"LICENSE.txt": string(apache)}, want: []string{"Apache-2.0"}},
		"beside a linked package":         {files: map[string]string{"LICENCE": string(apache), "a/COPYING": gpl}, fault: "a/COPYING"},
		"beside a package that is not":    {files: map[string]string{"LICENSE": string(apache), "other/LICENSE": gpl}, want: []string{"Apache-2.0"}},
		"not allowed":                     {files: map[string]string{"LICENSE": gpl}, fault: "LICENSE"},
		"not to be told":                  {files: map[string]string{"LICENSE": "All mine."}, fault: "LICENSE"},
		"mostly something else":           {files: map[string]string{"LICENSE": string(apache) + strings.Repeat(" No use on Sundays.", 1000)}, fault: "LICENSE"},
		"none":                            {files: map[string]string{"NOTICE": "hello"}, fault: "example.org/m v1.0.0"},
		"none, but a source of that name": {files: map[string]string{"license.go": "package m"}, fault: "example.org/m v1.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, d := range []string{"a/b", "other"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m := &module{path: "example.org/m", version: "v1.0.0", dir: dir, packages: []string{filepath.Join(dir, "a/b")}}
			err := m.licence()
			if c.fault == "" {
				if diff := cmp.Diff(c.want, m.licences); err != nil || diff != "" {
					t.Errorf("%v, %s", err, diff)
				}
				return
			}
			if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "example.org/m") || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestDecisionsArePinned: what a person decided holds for the file that they read.
func TestDecisionsArePinned(t *testing.T) {
	for _, e := range exceptions {
		m := &module{path: e.module}
		if exceptionFor(m, e.file, e.pin) == nil || exceptionFor(m, e.file, "v9.9.9") != nil {
			t.Errorf("%s %s: the pin does not matter", e.module, e.file)
		}
	}
}

// TestBillOfWorker builds the worker, and holds the bill against what Go wrote into the program.
func TestBillOfWorker(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	out := t.TempDir()
	o := options{root: "../..", out: out, version: "v1.2.3", names: []string{"worker"}}
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	first := file(t, out, "worker.cdx.json")
	notices := file(t, out, "THIRD-PARTY-NOTICES")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(out, "worker"), "./worker")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	info, err := buildinfo.ReadFile(filepath.Join(out, "worker"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{std: strings.TrimPrefix(info.GoVersion, "go")}
	for _, d := range info.Deps {
		want[d.Path] = d.Version
	}
	var b struct {
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(first, &b); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range b.Components {
		got[c.Name] = c.Version
		if c.Name != "github.com/nexus-rpc/nexus-proto-annotations" && !bytes.Contains(notices, []byte(c.Name+" "+c.Version+": ")) {
			t.Errorf("THIRD-PARTY-NOTICES lacks %s", c.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the bill differs from the program:\n%s", diff)
	}
	valid(t, first)
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, file(t, out, "worker.cdx.json")) || !bytes.Equal(notices, file(t, out, "THIRD-PARTY-NOTICES")) {
		t.Error("a second run writes something else")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if text := file(t, out, "worker.cdx.json"); !bytes.Contains(text, []byte(`"timestamp": "2023-11-14T22:13:20Z"`)) {
		t.Errorf("%.400s", text)
	}
}

// TestPageGoesStale: a page that is not current is an error, until it is written anew.
func TestPageGoesStale(t *testing.T) {
	name := filepath.Join(t.TempDir(), "licences.md")
	if err := current(name, []byte("new"), false); !errors.Is(err, fault.Stale) {
		t.Errorf("%v", err)
	}
	if err := current(name, []byte("new"), true); err != nil {
		t.Error(err)
	}
	if err := current(name, []byte("new"), false); err != nil {
		t.Error(err)
	}
}

func file(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// valid holds a bill against CycloneDX's own schema, which its library brings along.
func valid(t *testing.T, bill []byte) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	for url, name := range map[string]string{"bom-1.6.schema.json": "", "spdx.schema.json": "", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		if name == "" {
			name = url
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(file(t, strings.TrimSpace(string(dir)), "schema", name)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+url, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(bill))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
}
