package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"syscall"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/wheel"
)

// metadata lays the wheel's METADATA beside it as <wheel>.metadata (PEP 658).
// A wheel without a readable one, or with no room for the suffix in its name,
// gets none: clients then read the wheel.
func (r *runner) metadata(it tree.Item) ([]tree.Result, error) {
	if tree.CheckPath(it.Path+".metadata") != nil {
		return nil, nil // the wheel's name is too long
	}
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
	return wheel.ReadMetadata(f, st.Size(), f.Name())
}
