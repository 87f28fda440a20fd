package dir

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// place brings one new file into the staged view.
func (b *builder) place(ctx context.Context, j job) error {
	if j.Kind.IsIndex() {
		return b.placeIndex(ctx, j)
	}
	if local := b.src.Path(j.Path); local != "" {
		return b.placeLocal(local, j)
	}
	return b.pull(j, func() (io.ReadCloser, error) { return b.src.Object(ctx, j.Entry) })
}

func (b *builder) placeIndex(ctx context.Context, j job) error {
	content, err := b.src.Index(ctx, j.Digest)
	if err != nil {
		return fmt.Errorf("dir: place %s: %w", j.Path, err)
	}
	defer content.Close()
	// A source on this host hands out the file that it keeps the content in.
	if f, ok := content.(*os.File); ok {
		return b.placeLocal(f.Name(), j)
	}
	return b.pull(j, func() (io.ReadCloser, error) { return content, nil })
}

// placeLocal links a file of the tree into the view. Its bytes were proved when
// they landed and again by the seal; only where they may since have been
// replaced under the same path are they read once more.
func (b *builder) placeLocal(local string, j job) error {
	st, err := os.Lstat(local)
	if err != nil {
		return fmt.Errorf("dir: place %s: %w", j.Path, err)
	}
	if !st.Mode().IsRegular() || st.Size() != j.Size {
		return moved(local, fmt.Errorf("it is a %s of %d bytes, the manifest says a file of %d", st.Mode(), st.Size(), j.Size))
	}
	to := j.to
	if err := b.clone(local, to, &j.Entry); err != nil {
		return err
	}
	if !j.hash && st.ModTime().Unix() <= b.sealed {
		return nil
	}
	if same, err := holds(to, j.Entry); err != nil || !same {
		return errors.Join(err, moved(local, errors.New("it has other bytes than the manifest says")))
	}
	return nil
}

func moved(subject string, err error) error {
	return &fault.Error{Kind: fault.Conflict, Op: "dir: place", Subject: subject, Err: err,
		Advice: "the tree may have moved on: release its next generation; if it has not, verify the mirror"}
}

// pull fetches a file that has no name on this host. What an attempt has
// fetched and proved is kept for the next one until the view is published.
func (b *builder) pull(j job, open func() (io.ReadCloser, error)) error {
	if j.k > 0 { // an object that comes back may still be there
		old := b.view(j.k, j.Path)
		if same, err := holds(old, j.Entry); err == nil && same {
			return b.clone(old, j.to, &j.Entry)
		}
	}
	hex := j.Digest.String()
	kept := b.path("fetched", hex[:2], hex)
	// Once for all paths with these bytes: a link to a file that another fetch
	// is just replacing fails.
	_, err, _ := b.fetching.Do(hex, func() (any, error) {
		if same, err := holds(kept, j.Entry); err == nil && same {
			return nil, nil
		}
		return nil, b.fetch(j.Entry, kept, open)
	})
	if err != nil {
		return err
	}
	return b.clone(kept, j.to, &j.Entry)
}

func (b *builder) fetch(e manifest.Entry, kept string, open func() (io.ReadCloser, error)) error {
	temp, err := b.fetched(e, open)
	if err != nil {
		return err
	}
	if err := mkdir(filepath.Dir(kept)); err != nil {
		return fmt.Errorf("dir: fetch %s: %w", e.Path, err)
	}
	b.Crash("fetched")
	return durable.Rename(temp, kept)
}

// fetched returns the name of a staged file with the proved content of e.
func (s *session) fetched(e manifest.Entry, open func() (io.ReadCloser, error)) (temp string, err error) {
	content, err := open()
	if err != nil {
		return "", fmt.Errorf("dir: fetch %s: %w", e.Path, err)
	}
	defer content.Close()
	temp = s.temp()
	s.Crash("fetch")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", fmt.Errorf("dir: fetch %s: %w", e.Path, err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(content, e.Size+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("dir: fetch %s: %w", e.Path, err)
	}
	if n != e.Size || manifest.Digest(h.Sum(nil)) != e.Digest {
		return "", &fault.Error{Kind: fault.Unproved, Op: "dir: fetch", Subject: e.Path,
			Err: fmt.Errorf("not the %d bytes with SHA-256 %s that the manifest names", e.Size, e.Digest), Advice: "verify the origin's tree"}
	}
	return temp, nil
}

// holds reports whether the file at name has e's size and digest.
func holds(name string, e manifest.Entry) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() != e.Size {
		return false, err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && manifest.Digest(h.Sum(nil)) == e.Digest, err
}

// clone makes to the same file as from: a hard link, where that is not possible
// a reflink, else a copy that is proved to be want, if given.
func (s *session) clone(from, to string, want *manifest.Entry) error {
	err := os.Link(from, to)
	for _, no := range []unix.Errno{unix.EXDEV, unix.EMLINK, unix.EPERM, unix.ENOTSUP, unix.EACCES} {
		if errors.Is(err, no) {
			err = s.copy(from, to, want)
			break
		}
	}
	if err != nil {
		return fmt.Errorf("dir: place %s: %w", path.Base(to), err)
	}
	return nil
}

func (s *session) copy(from, to string, want *manifest.Entry) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return out.Close()
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), in)
	if err = errors.Join(err, out.Close()); err != nil || want == nil {
		return err
	}
	if n != want.Size || manifest.Digest(h.Sum(nil)) != want.Digest {
		return moved(from, errors.New("it has other bytes than the manifest says"))
	}
	return nil
}
