package build

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ulikunitz/xz"
)

// maxSDist bounds what an sdist may unpack to, in bytes, where we look into it.
const maxSDist = 4 << 30

// Times that a zip archive, and so a wheel, can hold.
var (
	oldest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2107, 12, 31, 0, 0, 0, 0, time.UTC)
)

// newestMember returns the latest modification time in an sdist, within what a
// wheel can hold, and leaves the file at its beginning.
func newestMember(f *os.File) (time.Time, error) {
	t, err := memberTime(f)
	if err != nil {
		return t, fmt.Errorf("read sdist: %w", err)
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

func memberTime(f *os.File) (t time.Time, err error) {
	later := func(m time.Time) {
		if m.After(t) {
			t = m
		}
	}
	if strings.HasSuffix(f.Name(), ".zip") {
		st, err := f.Stat()
		if err != nil {
			return t, err
		}
		z, err := zip.NewReader(f, st.Size())
		if err != nil {
			return t, err
		}
		for _, m := range z.File {
			later(m.Modified)
		}
		return t, nil
	}
	plain, err := unpacked(f)
	if err != nil {
		return t, err
	}
	limited := &io.LimitedReader{R: plain, N: maxSDist}
	for r := tar.NewReader(limited); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if limited.N <= 0 {
			return t, fmt.Errorf("more than %d bytes unpacked", int64(maxSDist))
		}
		if err != nil {
			return t, err
		}
		if h.Typeflag == tar.TypeReg {
			later(h.ModTime)
		}
	}
}

func unpacked(f *os.File) (io.Reader, error) {
	switch name := f.Name(); {
	case strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz"):
		return gzip.NewReader(f)
	case strings.HasSuffix(name, ".tar.bz2"):
		return bzip2.NewReader(f), nil
	case strings.HasSuffix(name, ".tar.xz"):
		return xz.ReaderConfig{DictCap: 64 << 20}.NewReader(f)
	case strings.HasSuffix(name, ".tar"):
		return f, nil
	}
	return nil, errors.New("neither .tar.gz nor .zip")
}
