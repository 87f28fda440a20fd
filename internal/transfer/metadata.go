package transfer

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
)

// maxMetadata bounds METADATA; the largest on the public index are below 2 MB.
const maxMetadata = 16 << 20

// metadata lays the wheel's METADATA beside it as <wheel>.metadata (PEP 658).
// A wheel without a readable one gets none: clients then read the wheel.
func (r *runner) metadata(it tree.Item) ([]tree.Result, error) {
	f, err := r.t.OpenFile(it.Path)
	if err != nil {
		return nil, fmt.Errorf("transfer: open %s: %w", it.Path, err)
	}
	defer f.Close()
	data, err := ReadMetadata(f)
	if err != nil {
		return nil, nil
	}
	out, err := r.t.Create()
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(data); err != nil {
		out.Discard()
		return nil, &fault.Error{Kind: fault.NoSpace, Op: "transfer: write", Subject: it.Path + ".metadata", Err: err, Advice: "free space"}
	}
	if err := out.Land(it.Path + ".metadata"); err != nil {
		return nil, err
	}
	e := manifest.Entry{Size: int64(len(data)), Digest: sha256.Sum256(data)}
	res := result(it, e, 0)
	res.Path, res.Derived = it.Path+".metadata", true
	return []tree.Result{res}, nil
}

// ReadMetadata returns the METADATA of the wheel in f (PEP 427): the member
// METADATA of the one top-level directory that ends in .dist-info.
func ReadMetadata(f *os.File) ([]byte, error) {
	malformed := func(err error) ([]byte, error) {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "transfer: read wheel", Subject: f.Name(), Err: err}
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		return malformed(err)
	}
	var found *zip.File
	for _, m := range z.File {
		dir, name, ok := strings.Cut(m.Name, "/")
		if !ok || name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		if found != nil {
			return malformed(fmt.Errorf("two METADATA files"))
		}
		found = m
	}
	if found == nil {
		return malformed(fmt.Errorf("no METADATA file"))
	}
	in, err := found.Open()
	if err != nil {
		return malformed(err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxMetadata+1))
	if err != nil {
		return malformed(err)
	}
	if len(data) > maxMetadata {
		return malformed(fmt.Errorf("METADATA is larger than %d bytes", maxMetadata))
	}
	return data, nil
}
