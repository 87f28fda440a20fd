package sdist

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
)

// texts are the files of interest by name below the archive's directory.
type texts map[string][]byte

// member is a file of an archive.
type member struct {
	path string // clean, as it will lie below the directory that it is unpacked to
	time time.Time
	link string // of a link: the path of what it names, "" if that lies outside
	dir  bool
	open func() (io.ReadCloser, error) // of what is neither
}

// interesting returns what a file below the top directory is to be known as.
func interesting(name string) (as string, ok bool) {
	dir, base, nested := strings.Cut(name, "/")
	switch {
	case name == "pyproject.toml", name == "PKG-INFO":
		return name, true
	case nested && strings.HasSuffix(dir, ".egg-info") && base == "requires.txt":
		return "requires.txt", true
	}
	return "", false
}

// Newest returns the latest modification time of the files in the archive f,
// whose name tells its form. Errors are those of Read.
func Newest(f *os.File, name string) (newest time.Time, err error) {
	err = each(f, name, func(m member) error {
		if m.open != nil && m.time.After(newest) {
			newest = m.time
		}
		return nil
	})
	return newest, refused(name, err, "have it published anew")
}

// members finds the files of interest. Most archives are read once; what a link
// names is read again.
func members(f *os.File, name string) (texts, error) {
	tops := map[string]bool{}
	last := map[string]member{} // files of interest, below any directory
	content := map[string][]byte{}
	size := 0
	err := each(f, name, func(m member) (err error) {
		top, rest, nested := strings.Cut(m.path, "/")
		if m.path != "" {
			tops[top] = tops[top] || nested || m.dir
		}
		_, below := interesting(rest)
		_, above := interesting(m.path)
		if !below && !above || m.dir {
			return nil
		}
		last[m.path] = m
		if m.open != nil {
			content[m.path], err = read(m)
			if size += len(content[m.path]); size > maxTexts {
				err = hostile("files of metadata are larger than 32 MB together")
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	found := texts{}
	links := map[string][]string{} // the names of what is read again
	for p, m := range last {
		as, ok := interesting(below(p, tops))
		switch {
		case !ok:
		case m.link != "":
			links[m.link] = append(links[m.link], as)
		case m.open != nil:
			found[as] = content[p]
		}
	}
	if len(links) == 0 {
		return found, nil
	}
	return found, found.follow(f, name, links)
}

// below is a path below the one directory that the archive has, or the path
// itself if it has several: pip takes them for the source then.
func below(p string, tops map[string]bool) string {
	top, rest, _ := strings.Cut(p, "/")
	if len(tops) == 1 && tops[top] {
		return rest
	}
	return p
}

// follow reads what links name, which may be links themselves, but not for ever.
func (t texts) follow(f *os.File, name string, links map[string][]string) error {
	for range 4 {
		next := map[string][]string{}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		err := each(f, name, func(m member) error {
			as := links[m.path]
			if len(as) == 0 {
				return nil
			}
			if m.link != "" {
				next[m.link] = append(next[m.link], as...)
				return nil
			}
			if m.open == nil {
				return nil
			}
			data, err := read(m)
			for _, name := range as {
				t[name] = data
			}
			return err
		})
		if err != nil || len(next) == 0 {
			return err
		}
		links = next
	}
	return hostile("links that name links for ever")
}

func read(m member) ([]byte, error) {
	in, err := m.open()
	if err != nil {
		return nil, err
	}
	data, err := readAll(in)
	return data, errors.Join(err, in.Close())
}

// each visits the files of an archive, in its order.
func each(f *os.File, name string, visit func(member) error) error {
	var in io.Reader
	var err error
	switch kindOf(name) {
	case ".zip":
		return eachOfZip(f, visit)
	case ".tar.gz", ".tgz":
		in, err = gzip.NewReader(f)
	case ".tar.bz2":
		in = bzip2.NewReader(f)
	case ".tar.xz":
		in, err = debrepo.Decompress(name, f, maxUnpacked)
	default:
		err = errors.New("not a form of archive that is read")
	}
	if err != nil {
		return err
	}
	t := tar.NewReader(&bounded{in: in, left: maxUnpacked})
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n >= maxMembers {
			err = tooMany
		}
		if err == nil {
			err = visit(ofTar(h, t))
		}
		if err != nil {
			return err
		}
	}
}

// clean is a path as it is unpacked, "" if it would not be unpacked at all.
func clean(p string) string {
	if p = path.Clean(p); p == "." || p == ".." || strings.HasPrefix(p, "../") || path.IsAbs(p) {
		return ""
	}
	return p
}

func ofTar(h *tar.Header, t *tar.Reader) member {
	m := member{path: clean(h.Name), time: h.ModTime}
	switch h.Typeflag {
	case tar.TypeReg:
		m.open = func() (io.ReadCloser, error) { return io.NopCloser(t), nil }
	case tar.TypeLink:
		m.link = clean(h.Linkname)
	case tar.TypeSymlink:
		if !path.IsAbs(h.Linkname) {
			m.link = clean(path.Join(path.Dir(m.path), h.Linkname))
		}
	case tar.TypeDir:
		m.dir = true
	case tar.TypeXGlobalHeader:
		m.path = "" // nothing that is unpacked
	}
	return m
}

func eachOfZip(f *os.File, visit func(member) error) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, st.Size())
	if err == nil && len(z.File) > maxMembers {
		err = tooMany
	}
	if err != nil {
		return err
	}
	for _, entry := range z.File {
		m := member{path: clean(entry.Name), time: entry.Modified}
		switch {
		case entry.Mode().IsDir():
			m.dir = true
		default: // Python unpacks a link as a file that holds what it names
			m.open = entry.Open
		}
		if err := visit(m); err != nil {
			return err
		}
	}
	return nil
}

// bounded ends a stream that is too long with fault.Hostile.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, hostile("more than 4 GB unpacked")
	}
	return n, err
}

var tooMany = hostile("more than 200,000 files")

func hostile(why string) error {
	return &fault.Error{Kind: fault.Hostile, Op: "sdist: unpack", Err: errors.New(why)}
}

func readAll(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxMember+1))
	if err == nil && len(data) > maxMember {
		err = hostile("a file of metadata is larger than 4 MB")
	}
	if data == nil {
		data = []byte{}
	}
	return data, err
}
