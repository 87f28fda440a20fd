package release_test

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"mirrorcycle/internal/backend"
	"mirrorcycle/internal/backend/backendtest"
	"mirrorcycle/internal/release"
	"mirrorcycle/internal/release/dir"
	"mirrorcycle/mirrorspec"
)

func TestDirectoryRegionBesideTheTree(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Harness{New: group, Source: local})
}

// TestDirectoryRegionOfWideDirectories has nearly all directories be wide.
func TestDirectoryRegionOfWideDirectories(t *testing.T) {
	t.Parallel()
	wide := func(t *testing.T, treeID string) backendtest.Group { return groupOf(t, treeID, 1) }
	backendtest.Run(t, backendtest.Harness{New: wide, Source: local, Stride: 3})
}

func TestDirectoryRegionThatPulls(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Harness{New: group, Source: pulled, Stride: 7})
}

func local(t *testing.T, p backendtest.Place) backend.Source {
	return open(t, release.Origin{Mirror: backendtest.Mirror, Storage: mirrorspec.Storage{Root: p.Root, State: p.State}})
}

func pulled(t *testing.T, p backendtest.Place) backend.Source {
	server := httptest.NewServer(release.OriginHandler(p.Root, p.State))
	t.Cleanup(server.Close)
	return pulledFrom(t, server.URL)
}

func pulledFrom(t *testing.T, url string) backend.Source {
	return open(t, release.Origin{Mirror: backendtest.Mirror, Region: mirrorspec.Region{Pull: true}, Storage: mirrorspec.Storage{URL: url}})
}

func open(t *testing.T, o release.Origin) backend.Source {
	t.Helper()
	src, done, err := release.From(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return src
}

func group(t *testing.T, treeID string) backendtest.Group { return groupOf(t, treeID, 0) }

func groupOf(t *testing.T, treeID string, wide int) backendtest.Group {
	t.Helper()
	region := filepath.Join(backendtest.Scratch(t), "dfw")
	if err := dir.Setup(region, "dfw"); err != nil {
		t.Fatal(err)
	}
	return backendtest.Group{
		Regions: []string{"dfw"},
		Storage: region,
		Open: func(o backendtest.Options) backend.Backend {
			return dir.New(dir.Options{Dir: region, Region: "dfw", Mirror: backendtest.Mirror, Tree: treeID, Holder: "test",
				Policy: o.Policy, Crash: o.Crash, Now: o.Now, Wide: wide})
		},
		Root: func(string) string { return filepath.Join(region, backendtest.Mirror) },
		Snapshot: func(_ string, n int64) string {
			return filepath.Join(region, ".releases", backendtest.Mirror, strconv.FormatInt(n, 10))
		},
		State: func(t *testing.T) map[string]string { return state(t, region) },
	}
}

// perRun matches what differs between two lives that end alike.
var perRun = regexp.MustCompile(`^\.mirrorcycle/[^/]+/(lease\.|stage-|log$|fetched/|spare/.)`)

func state(t *testing.T, region string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(region, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(region, p)
		if err != nil || perRun.MatchString(rel) {
			return err
		}
		switch {
		case d.IsDir():
			if rel != "." && !regexp.MustCompile(`/segments/..$`).MatchString(rel) {
				out[rel] = "directory"
			}
			return nil
		case d.Type() == fs.ModeSymlink:
			out[rel], err = os.Readlink(p)
			out[rel] = "link to " + out[rel]
			return err
		}
		data, err := os.ReadFile(p)
		out[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
