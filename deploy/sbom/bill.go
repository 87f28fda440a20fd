package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill renders a program's bill of materials as CycloneDX 1.6 JSON. It has a
// time only if SOURCE_DATE_EPOCH says which, and no serial number.
func bill(l linked, version string) ([]byte, error) {
	b := cdx.NewBOM()
	stamp, err := timestamp()
	if err != nil {
		return nil, err
	}
	self := cdx.Component{BOMRef: l.name, Type: cdx.ComponentTypeApplication, Name: l.name, Version: version}
	b.Metadata = &cdx.Metadata{Timestamp: stamp, Component: &self}
	own := ownPath(l)
	components, edges := []cdx.Component{}, []cdx.Dependency{}
	for _, m := range l.modules {
		needs := []string{}
		for _, path := range m.needs {
			needs = append(needs, refOf(l, path, own))
		}
		edges = append(edges, cdx.Dependency{Ref: refOf(l, m.path, own), Dependencies: &needs})
		if m.path == own {
			self.Licenses = choice(m.licences)
			continue
		}
		c := cdx.Component{BOMRef: purl(m), Type: cdx.ComponentTypeLibrary, Name: m.path, Version: m.version,
			PackageURL: purl(m), Scope: cdx.ScopeRequired, Licenses: choice(m.licences)}
		if m.sum != "" {
			c.Properties = &[]cdx.Property{{Name: "go.sum", Value: m.sum}}
		}
		components = append(components, c)
	}
	b.Components, b.Dependencies = &components, &edges
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(b, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// ownPath is the program's module: the one without a version, as nobody has published it.
func ownPath(l linked) string {
	for _, m := range l.modules {
		if m.version == "" {
			return m.path
		}
	}
	return ""
}

func refOf(l linked, path, own string) string {
	for _, m := range l.modules {
		if m.path == path && path != own {
			return purl(m)
		}
	}
	return l.name
}

// purl is a module's package URL, of the type golang.
func purl(m *module) string {
	return "pkg:golang/" + m.path + "@" + strings.ReplaceAll(m.version, "+", "%2B")
}

func choice(ids []string) *cdx.Licenses {
	switch len(ids) {
	case 0:
		return nil
	case 1:
		return &cdx.Licenses{{License: &cdx.License{ID: ids[0]}}}
	}
	return &cdx.Licenses{{Expression: strings.Join(ids, " AND ")}}
}

// timestamp is the time of SOURCE_DATE_EPOCH, as reproducible-builds.org defines it, or none.
func timestamp() (string, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("sbom: read SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}
