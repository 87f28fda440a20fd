package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"mirrorcycle/internal/fault"
)

// digests are those that RECORD may use: SHA-256 or better (PEP 376, 427).
var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// checkRecord holds every file to its row in RECORD, and every row to a file.
func (a *archive) checkRecord() error {
	data, err := a.read("RECORD", maxRecord)
	if err != nil {
		return err
	}
	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = 3
	rows.ReuseRecord = true
	listed := make(map[string]bool, len(a.files))
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: RECORD: %w", fault.Malformed, err)
		}
		name := strings.Clone(row[0])
		if listed[name] {
			return fmt.Errorf("RECORD lists %.200q twice", name)
		}
		listed[name] = true
		m := a.files[name]
		if m == nil {
			return fmt.Errorf("RECORD lists %.200q, which is not there", name)
		}
		if err := a.checkRow(m, row[1], row[2]); err != nil {
			return fmt.Errorf("RECORD: %.200q: %w", name, err)
		}
	}
	for _, m := range a.order {
		if !listed[m.Name] && !a.unlisted(m.Name) {
			return fmt.Errorf("RECORD does not list %.200q", m.Name)
		}
	}
	return nil
}

// unlisted reports whether a file may go without a digest: RECORD and its signatures.
func (a *archive) unlisted(name string) bool {
	switch strings.TrimPrefix(name, a.dist+"/") {
	case "RECORD", "RECORD.jws", "RECORD.p7s":
		return true
	}
	return false
}

func (a *archive) checkRow(m *zip.File, digest, size string) error {
	if digest == "" && size == "" && a.unlisted(m.Name) {
		return nil
	}
	if n, err := strconv.ParseUint(size, 10, 63); err != nil || n != m.UncompressedSize64 {
		return fmt.Errorf("size %.30q, is %d", size, m.UncompressedSize64)
	}
	algorithm, want, _ := strings.Cut(digest, "=")
	create := digests[algorithm]
	if create == nil {
		return fmt.Errorf("digest %.30q, want sha256", digest)
	}
	in, err := m.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", fault.Malformed, err)
	}
	defer in.Close()
	h := create()
	n, err := io.Copy(h, io.LimitReader(in, int64(m.UncompressedSize64)+1))
	if err != nil {
		return fmt.Errorf("%w: %w", fault.Malformed, err)
	}
	got := base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	if uint64(n) != m.UncompressedSize64 || got != strings.TrimRight(want, "=") {
		return fmt.Errorf("digest %.100q, is %q", digest, algorithm+"="+got)
	}
	return nil
}
