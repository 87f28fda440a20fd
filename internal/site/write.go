package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// The files of a site.
const (
	PageName   = "index.html"
	StatusName = "status.json"
	ConfigDir  = "config" // the client files
	idName     = ".mirrorcycle-site"
)

// quiet is how long a page may stay as it is while nothing changes. On a
// network file system each write costs every reader's cache. Where health runs
// out sooner, it is a quarter of that time.
const quiet = time.Hour

// Setup makes dir the site of a region. It does nothing where that was done
// before and refuses any other directory that is not empty with fault.WrongStorage.
func Setup(dir, region string) error {
	have, err := os.ReadFile(filepath.Join(dir, idName))
	switch {
	case err == nil && string(have) == region+"\n":
		return nil
	case err == nil:
		return wrong(dir, "it is the site of region "+strings.TrimSpace(string(have)), "choose another directory")
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("site: set up: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("site: set up: %w", err)
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return wrong(dir, "it is not empty, or cannot be read", "give the region's site an empty directory of its own")
	}
	return os.WriteFile(filepath.Join(dir, idName), []byte(region+"\n"), 0o644)
}

// Rename gives the site of region from the name of region to. It does nothing
// where that was done before, or where there is no site.
func Rename(dir, from, to string) error {
	name := filepath.Join(dir, idName)
	have, err := os.ReadFile(name)
	switch {
	case dir == "" || errors.Is(err, fs.ErrNotExist) || string(have) == to+"\n":
		return nil
	case err != nil:
		return fmt.Errorf("site: rename: %w", err)
	case string(have) != from+"\n":
		return wrong(dir, "it is the site of region "+strings.TrimSpace(string(have)), "check which directory the region's site is")
	}
	return durable.Replace(name, []byte(to+"\n"), 0o644)
}

// Identify returns fault.WrongStorage unless dir was made the site of region.
func Identify(dir, region string) error {
	root, err := open(dir, region)
	if err != nil {
		return err
	}
	return root.Close()
}

func open(dir, region string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, wrong(dir, err.Error(), "run starter setup, or mount it")
	}
	if id, err := root.ReadFile(idName); err != nil || string(id) != region+"\n" {
		return nil, errors.Join(wrong(dir, "it is not the site of region "+region, "run starter setup, or mount the right directory"), root.Close())
	}
	return root, nil
}

func wrong(dir, problem, advice string) error {
	return &fault.Error{Kind: fault.WrongStorage, Op: "site: open", Subject: dir, Err: errors.New(problem), Advice: advice}
}

// Options say what is written.
type Options struct {
	Dir        string // set up before
	Status     Status // of this cycle, with its region; neither carried nor judged
	StaleAfter time.Duration
	Files      map[string][]byte // the client files by their path below ConfigDir; nil leaves them as they are
	Now        time.Time
}

// Write writes the site if it is due: something is wrong, changed, or an hour
// old. It reports whether it wrote. Every file is replaced whole.
func Write(o Options) (bool, error) {
	root, err := open(o.Dir, o.Status.Region)
	if err != nil {
		return false, err
	}
	defer root.Close()
	before := readBefore(root)
	s := o.Status
	s.Mirrors = cloneMirrors(s.Mirrors)
	s.Carry(before, o.Now)
	s.Judge(o.Now, o.StaleAfter)
	files, changed, err := writeConfig(root, o.Files)
	if err != nil {
		return false, fmt.Errorf("site: write: %w", err)
	}
	if !changed && !due(before, &s, min(quiet, o.StaleAfter/4)) {
		return false, nil
	}
	if err := writeAll(root, &s, files); err != nil {
		return false, fmt.Errorf("site: write: %w", err)
	}
	return true, nil
}

func cloneMirrors(all []Mirror) []Mirror {
	all = slices.Clone(all)
	for i := range all {
		all[i].Regions = slices.Clone(all[i].Regions)
	}
	return all
}

// readBefore reads the page before. One that cannot be read is none: it only
// has what is written anew with every cycle.
func readBefore(root *os.Root) *Status {
	data, err := root.ReadFile(StatusName)
	if err != nil {
		return nil
	}
	s := new(Status)
	if json.Unmarshal(data, s) != nil || s.Version != Version {
		return nil
	}
	return s
}

func due(before, now *Status, quiet time.Duration) bool {
	return before == nil || now.Level != OK || before.Level != OK || now.Written.Sub(before.Written) >= quiet || now.Written.Before(before.Written) ||
		!slices.EqualFunc(before.Mirrors, now.Mirrors, sameMirror) || !slices.Equal(before.Regions, now.Regions)
}

// sameMirror tells whether a reader of the page would see no other generation.
func sameMirror(a, b Mirror) bool {
	return a.Name == b.Name && a.Generation == b.Generation && a.Committed == b.Committed &&
		slices.EqualFunc(a.Regions, b.Regions, func(x, y Served) bool { return x.Region == y.Region && x.Serves == y.Serves })
}

func writeAll(root *os.Root, s *Status, files []string) error {
	var page bytes.Buffer
	if err := Render(&page, s, files); err != nil {
		return err
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := writeHealth(root, Health(s.Written, s.HealthyUntil)); err != nil {
		return err
	}
	// status.json last: it says that the rest is there.
	return errors.Join(replace(root, PageName, page.Bytes()), replace(root, StatusName, append(data, '\n')))
}

func writeHealth(root *os.Root, want []string) error {
	if err := root.MkdirAll(HealthDir, 0o755); err != nil {
		return err
	}
	have, err := fs.ReadDir(root.FS(), HealthDir)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range have {
		there[e.Name()] = true
		if !slices.Contains(want, e.Name()) {
			err = errors.Join(err, root.Remove(path.Join(HealthDir, e.Name())))
		}
	}
	for _, name := range want {
		if !there[name] {
			err = errors.Join(err, replace(root, path.Join(HealthDir, name), []byte("ok\n")))
		}
	}
	return err
}

// writeConfig brings the client files to what they should be. It returns their
// names below ConfigDir, and whether anything had to be done.
func writeConfig(root *os.Root, files map[string][]byte) (names []string, changed bool, err error) {
	if err := root.MkdirAll(ConfigDir, 0o755); err != nil {
		return nil, false, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := path.Join(ConfigDir, name)
		if have, err := root.ReadFile(full); err == nil && bytes.Equal(have, files[name]) {
			continue
		}
		changed = true
		if err := errors.Join(root.MkdirAll(path.Dir(full), 0o755), replace(root, full, files[name])); err != nil {
			return nil, changed, err
		}
	}
	err = fs.WalkDir(root.FS(), ConfigDir, func(full string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(full, ConfigDir+"/")
		if _, wanted := files[name]; wanted || files == nil {
			names = append(names, name)
			return nil
		}
		changed = true
		return root.Remove(full)
	})
	return names, changed, err
}

// replace writes a file whole and renames it into place.
func replace(root *os.Root, name string, data []byte) error {
	part := path.Join(path.Dir(name), "."+path.Base(name)+".new")
	if err := root.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return root.Rename(part, name)
}
