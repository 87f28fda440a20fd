package build

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mirrorcycle/internal/wheel"
)

// wrongWheel is what a build brought forth that is not what was asked for.
type wrongWheel struct{ err error }

func (w *wrongWheel) Error() string { return w.err.Error() }

func wrong(format string, args ...any) error { return &wrongWheel{fmt.Errorf(format, args...)} }

// collect takes the one wheel out of what the sandbox sent, proves it, and lays
// it into Dir. Any other content is a *wrongWheel.
func (r Request) collect(output *os.File, res *Result) error {
	if _, err := output.Seek(0, io.SeekStart); err != nil {
		return err
	}
	t := tar.NewReader(output)
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF):
		return wrong("no wheel")
	case err != nil:
		return wrong("unreadable output: %v", err)
	case h.Typeflag != tar.TypeReg:
		return wrong("%.100q is no file", h.Name)
	}
	if _, err := wheel.ParseFilename(h.Name); err != nil {
		return wrong("%v", err)
	}
	name := filepath.Join(r.Dir, h.Name)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	err = r.prove(t, f, h.Name, res)
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func (r Request) prove(t *tar.Reader, f *os.File, name string, res *Result) error {
	digest := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, digest), t)
	if err != nil {
		return wrong("output cut short: %v", err)
	}
	if more, err := t.Next(); !errors.Is(err, io.EOF) {
		if err != nil {
			return wrong("unreadable output: %v", err)
		}
		return wrong("more than one file: %.100q besides %q", more.Name, name)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	w, err := wheel.Inspect(f, size, name)
	if err == nil {
		err = w.IsFor(r.Name, r.Version, r.Platform)
	}
	if err != nil {
		return wrong("%v", err)
	}
	if res.Report, err = wheel.Audit(f, size); err != nil {
		return wrong("%v", err)
	}
	res.File, res.Size, res.SHA256 = name, size, hex.EncodeToString(digest.Sum(nil))
	return nil
}
