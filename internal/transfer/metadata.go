package transfer

import (
	"archive/zip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

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
	data, err := readWheel(f)
	if errors.Is(err, fault.Malformed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := r.t.Create()
	if err != nil {
		return nil, err
	}
	if _, err := out.Write(data); err != nil {
		_ = out.Discard()
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return nil, &fault.Error{Kind: fault.NoSpace, Op: "transfer: write", Subject: it.Path + ".metadata", Err: err, Advice: "free space or raise the quota"}
		}
		return nil, fmt.Errorf("transfer: write %s.metadata: %w", it.Path, err)
	}
	if err := out.Land(it.Path + ".metadata"); err != nil {
		return nil, err
	}
	e := manifest.Entry{Size: int64(len(data)), Digest: sha256.Sum256(data)}
	res := result(it, e, 0)
	res.Path, res.Derived = it.Path+".metadata", true
	return []tree.Result{res}, nil
}

func readWheel(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return ReadMetadata(f, st.Size(), f.Name())
}

// ReadMetadata returns the METADATA of a wheel of that size in bytes (PEP 427):
// the member METADATA of the one top-level directory that ends in .dist-info.
// A wheel without exactly one, or with one over 16 MB, is fault.Malformed;
// name names it in the error.
func ReadMetadata(wheel io.ReaderAt, size int64, name string) ([]byte, error) {
	data, err := readMetadata(wheel, size)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "transfer: read wheel", Subject: name, Err: err,
			Advice: "it is served without metadata; clients read the wheel itself"}
	}
	return data, nil
}

func readMetadata(wheel io.ReaderAt, size int64) ([]byte, error) {
	z, err := zip.NewReader(wheel, size)
	if err != nil {
		return nil, err
	}
	var found *zip.File
	for _, m := range z.File {
		dir, name, ok := strings.Cut(m.Name, "/")
		if !ok || name != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		if found != nil {
			return nil, errors.New("two METADATA files")
		}
		found = m
	}
	if found == nil {
		return nil, errors.New("no METADATA file")
	}
	in, err := found.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxMetadata+1))
	if err == nil && len(data) > maxMetadata {
		err = fmt.Errorf("METADATA is larger than %d bytes", maxMetadata)
	}
	return data, err
}
