package wheels

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mirrorcycle/internal/simpleindex"
	"mirrorcycle/internal/wheel"
)

// name gives a wheel the lowest build tag, as PEP 427 orders them, with which
// neither the index nor any wheel of other bytes that was ever built here has its
// name: by any platform, also one that has left the spec, and also where two
// workers take wheels in at once.
func (s Store) name(file, digest string, page *simpleindex.Project) (string, error) {
	f, err := wheel.ParseFilename(file)
	if err != nil {
		return "", err
	}
	taken, err := s.names()
	if err != nil {
		return "", err
	}
	if page != nil {
		for _, other := range page.Files {
			taken[other.Filename] = ""
		}
	}
	for n := 1; ; n++ {
		f.Build = fmt.Sprintf("%dmc", n)
		name := f.String()
		if of, ok := taken[name]; ok && of != digest {
			continue
		}
		ours, err := s.reserve(name, digest)
		if err != nil || ours {
			return name, err
		}
	}
}

// names are those of all wheels in the journals, with their digests.
func (s Store) names() (map[string]string, error) {
	logs, err := s.logs()
	if err != nil {
		return nil, err
	}
	taken := map[string]string{}
	for _, log := range logs {
		for _, e := range log {
			for _, name := range e.Files {
				if _, ok := taken[name]; !ok {
					taken[name] = ""
				}
			}
			if e.Built != nil {
				taken[e.Built.File] = e.Built.SHA256
			}
		}
	}
	return taken, nil
}

// logs reads the journals of all platforms that there ever were.
func (s Store) logs() (logs []Log, err error) {
	journals, err := filepath.Glob(s.journal("*"))
	if err != nil {
		return nil, fmt.Errorf("wheels: list journals: %w", err)
	}
	for _, j := range journals {
		log, err := s.Read(strings.TrimSuffix(filepath.Base(j), ".journal"))
		if err != nil {
			return nil, err
		}
		logs = append(logs, log)
	}
	return logs, nil
}

// Suspects are the paths, in the index mirror, of sources that the last build
// found missing or rotten, sorted.
func (s Store) Suspects() (paths []string, err error) {
	logs, err := s.logs()
	for _, log := range logs {
		for _, e := range log {
			if e.Failed != nil && e.Failed.Path != "" {
				paths = append(paths, e.Failed.Path)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), err
}

// reserve takes a name for the wheel of that digest, and reports whether it is
// its own. A link that must not exist yet decides, on every file system.
func (s Store) reserve(name, digest string) (ours bool, err error) {
	if err := s.mkdir("names"); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(s.path("names"), ".new.*")
	if err != nil {
		return false, full("wheels: reserve name", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(digest)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return false, full("wheels: reserve name", name, err)
	}
	err = os.Link(f.Name(), s.path("names", name))
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	had, err := os.ReadFile(s.path("names", name))
	return string(had) == digest, err
}
