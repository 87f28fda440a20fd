package demo

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/internal/simpleindex"
)

// distribution is one version of a project as files.
type distribution struct{ name, version, requires string }

// module is the name to import: the normalised one with underscores, which file
// names have too (binary distribution format).
func (d distribution) module() string {
	return strings.ReplaceAll(simpleindex.Normalize(d.name), "-", "_")
}

func (d distribution) stem() string { return d.module() + "-" + d.version }

// metadata is METADATA of a wheel and PKG-INFO of an sdist (core metadata 2.1).
func (d distribution) metadata() []byte {
	m := "Metadata-Version: 2.1\nName: " + d.name + "\nVersion: " + d.version + "\nSummary: made up to try a mirror on\n"
	if d.requires != "" {
		m += "Requires-Python: " + d.requires + "\n"
	}
	return []byte(m)
}

func (d distribution) source() []byte {
	return fmt.Appendf(nil, "\"\"\"%s, made up to try a mirror on.\"\"\"\n\n__version__ = %q\n\n\ndef main():\n    print(%q)\n",
		d.name, d.version, d.name+" "+d.version)
}

const wheelTag = "Wheel-Version: 1.0\nGenerator: mirrorcycle-demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

// member is a file of an archive.
type member struct {
	name string
	data []byte
}

// wheel builds the wheel (binary distribution format 1.0). Equal values give
// equal bytes.
func (d distribution) wheel() ([]byte, error) {
	info := d.stem() + ".dist-info/"
	members := []member{
		{d.module() + "/__init__.py", d.source()},
		{info + "METADATA", d.metadata()},
		{info + "WHEEL", []byte(wheelTag)},
	}
	var record strings.Builder
	for _, m := range members {
		sum := sha256.Sum256(m.data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", m.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(m.data))
	}
	record.WriteString(info + "RECORD,,\n")
	members = append(members, member{info + "RECORD", []byte(record.String())})
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: debrepotest.Epoch}
		h.SetMode(0o644)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(m.data); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// sdist builds the source distribution (PEP 517). It brings its own build backend,
// so that it can be built without the internet.
func (d distribution) sdist() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for _, m := range []member{
		{"PKG-INFO", d.metadata()},
		{"pyproject.toml", []byte("[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n")},
		{"backend.py", d.backend()},
		{d.module() + "/__init__.py", d.source()},
	} {
		h := &tar.Header{Name: d.stem() + "/" + m.name, Mode: 0o644, Size: int64(len(m.data)), ModTime: debrepotest.Epoch, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := t.Write(m.data); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// backend is a build backend (PEP 517) of one function.
func (d distribution) backend() []byte {
	return []byte(strings.NewReplacer("STEM", d.stem(), "MODULE", d.module(), "TAG", strings.ReplaceAll(wheelTag, "\n", `\n`)).Replace(
		`"""Builds the wheel of this project with the standard library alone."""

import base64
import hashlib
import os
import zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open("PKG-INFO", "rb") as f:
        metadata = f.read()
    with open("MODULE/__init__.py", "rb") as f:
        source = f.read()
    info = "STEM.dist-info/"
    files = {"MODULE/__init__.py": source, info + "METADATA": metadata, info + "WHEEL": b"TAG"}
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (name, digest, len(data))
    files[info + "RECORD"] = (record + info + "RECORD,,\n").encode()
    wheel = "STEM-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return wheel
`))
}
