package build

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"mirrorcycle/internal/sdist"
)

// Times that a zip archive, and so a wheel, can hold.
var (
	oldest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2107, 12, 31, 0, 0, 0, 0, time.UTC)
)

// newestMember returns the latest modification time in an sdist, within what a
// wheel can hold, and leaves the file at its beginning.
func newestMember(f *os.File) (time.Time, error) {
	t, err := sdist.Newest(f, filepath.Base(f.Name()))
	if err != nil {
		return t, err
	}
	if t.Before(oldest) {
		t = oldest
	}
	if t.After(newest) {
		t = newest
	}
	_, err = f.Seek(0, io.SeekStart)
	return t.UTC().Truncate(time.Second), err
}
