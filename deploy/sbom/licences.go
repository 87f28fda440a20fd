package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"

	"mirrorcycle/internal/fault"
)

var (
	licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([.-].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents|copyright)(\.(txt|md))?$`)
)

// enough is the share of a file's words, in percent, that known licences must
// account for; the rest is names and years, or which part is under which.
const enough = 75

// licence finds a module's licences: those at its root, and those beside and
// above the packages that are linked. The error names what is not allowed.
func (m *module) licence() error {
	if m.version == "" { // the programs' own
		m.licences = []string{"Apache-2.0"}
		return nil
	}
	for _, dir := range m.above() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			switch {
			case e.IsDir() || strings.HasSuffix(e.Name(), ".go"):
			case licenceFile.MatchString(e.Name()):
				m.texts = append(m.texts, name)
			case noticeFile.MatchString(e.Name()):
				m.extra = append(m.extra, name)
			}
		}
	}
	if len(m.texts) == 0 {
		if e := exceptionFor(m, "", m.version); e != nil {
			m.licences = e.licences
			return nil
		}
		return m.refuse(m.dir, errors.New("no file of a licence"))
	}
	var wrong []error
	for _, name := range m.texts {
		wrong = append(wrong, m.read(name))
	}
	slices.Sort(m.licences)
	m.licences = slices.Compact(m.licences)
	return errors.Join(wrong...)
}

// above lists the directories from the linked packages up to the module's root.
func (m *module) above() []string {
	dirs := []string{m.dir}
	if m.path == std { // its vendored packages are Go's own
		return dirs
	}
	for _, dir := range m.packages {
		for ; len(dir) > len(m.dir); dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// read adds the licences of one file.
func (m *module) read(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	rel, _ := filepath.Rel(m.dir, name)
	digest := sha256.Sum256(text)
	if e := exceptionFor(m, rel, hex.EncodeToString(digest[:])); e != nil {
		m.licences = append(m.licences, e.licences...)
		return nil
	}
	found := licensecheck.Scan(text)
	if found.Percent < enough {
		return m.refuse(name, fmt.Errorf("%.0f %% of it is a known licence, sha256 %x", found.Percent, digest))
	}
	for _, l := range found.Match {
		if !slices.Contains(allowed, l.ID) {
			return m.refuse(name, fmt.Errorf("%s is not allowed, sha256 %x", l.ID, digest))
		}
		m.licences = append(m.licences, l.ID)
	}
	return nil
}

func (m *module) refuse(name string, err error) error {
	return &fault.Error{Kind: fault.Denied, Op: "sbom: tell the licence of", Subject: m.path + " " + m.version + ": " + name, Err: err,
		Advice: "do without the module, or read the file and decide in deploy/sbom/allowed.go"}
}

func exceptionFor(m *module, file, pin string) *exception {
	for i, e := range exceptions {
		if e.module == m.path && e.file == file && e.pin == pin {
			return &exceptions[i]
		}
	}
	return nil
}
