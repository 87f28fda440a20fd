package wheels

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// Job is one build.
type Job struct {
	Pin
	File   string    `json:"file"`   // name of the source distribution
	Path   string    `json:"path"`   // of it, below the index mirror's tree
	SHA256 string    `json:"sha256"` // of it
	Upload time.Time `json:"upload,omitzero"`
}

// PutJobs keeps a list of builds and returns its digest. Lists that are older
// than a week are removed: no run goes on with one for so long.
func (s Store) PutJobs(platform string, jobs []Job) (string, error) {
	data, err := json.Marshal(jobs)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	if err := s.mkdir("builds", platform+".plan"); err != nil {
		return "", err
	}
	dir := s.path("builds", platform+".plan")
	old, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("wheels: list plans: %w", err)
	}
	for _, e := range old {
		if st, err := e.Info(); err == nil && s.now().Sub(st.ModTime()) > 7*24*time.Hour {
			err = os.Remove(filepath.Join(dir, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("wheels: forget plan: %w", err)
			}
		}
	}
	name := filepath.Join(dir, digest)
	return digest, durable.Replace(name, data, 0o644)
}

// Jobs returns a list of builds.
func (s Store) Jobs(platform, digest string) ([]Job, error) {
	if len(digest) != 64 {
		return nil, fmt.Errorf("wheels: open plan %q: %w", digest, fault.Malformed)
	}
	name := s.path("builds", platform+".plan", filepath.Base(digest))
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Kind: fault.Gone, Op: "wheels: open plan", Subject: name, Advice: "nothing to do: the next cycle plans anew"}
	}
	if err != nil {
		return nil, fmt.Errorf("wheels: open plan: %w", err)
	}
	var jobs []Job
	if err := json.Unmarshal(data, &jobs); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "wheels: open plan", Subject: name, Err: err, Advice: "nothing to do: the next cycle plans anew"}
	}
	return jobs, nil
}

// Jobs returns the builds that rows call for, in their order.
func Jobs(rows []Row) []Job {
	var out []Job
	for _, r := range rows {
		if r.State == Due {
			out = append(out, Job{Pin: r.Pin, File: r.Source.Filename, Path: objectPath(*r.Source), SHA256: r.Source.SHA256, Upload: r.Source.UploadTime})
		}
	}
	return out
}

// Inbox is the directory that a build hands its result over in. Ready makes the
// one above it.
func (s Store) Inbox(platform, attempt string) string { return s.path("inbox", platform, attempt) }

// Ready makes the place for the inboxes of a platform and clears away those
// that nobody has touched for a day more than the longest build takes.
func (s Store) Ready(platform string, longest time.Duration) error {
	if err := s.mkdir("inbox", platform); err != nil {
		return err
	}
	all, err := os.ReadDir(s.path("inbox", platform))
	if err != nil {
		return fmt.Errorf("wheels: list inboxes: %w", err)
	}
	for _, e := range all {
		if st, err := e.Info(); err == nil && s.now().Sub(st.ModTime())-longest > 24*time.Hour {
			if err := os.RemoveAll(s.Inbox(platform, e.Name())); err != nil {
				return fmt.Errorf("wheels: clear inbox: %w", err)
			}
		}
	}
	return nil
}
