// Package journal appends checksummed records to a file and reads back the whole ones.
//
// A record is one line: the CRC-32C of its text in hexadecimal, a space, the
// text. Append returns after the record is durable. A torn line, left by a
// crash, is skipped; a file that is mostly damage is an error.
package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append adds one record. The text must not contain a newline.
func Append(name, text string) error {
	if err := check(name, text); err != nil {
		return err
	}
	_, err := os.Stat(name)
	fresh := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("journal: append: %w", err)
	}
	// A torn line before us must not swallow this record.
	lead := ""
	if st, err := f.Stat(); err == nil && st.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, st.Size()-1); err == nil && last[0] != '\n' {
			lead = "\n"
		}
	}
	_, err = f.WriteString(lead + line(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("journal: append to %s: %w", name, err)
	}
	if fresh {
		return durable.SyncDir(filepath.Dir(name))
	}
	return nil
}

func check(name, text string) error {
	if strings.Contains(text, "\n") {
		return fmt.Errorf("journal: write %s: newline in %q", name, text)
	}
	return nil
}

func line(text string) string {
	return fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(text), castagnoli), text)
}

// Read returns the records' texts, oldest first. A missing file has none.
func Read(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	var out []string
	torn := 0
	for l := range strings.Lines(string(data)) {
		sum, text, ok := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		if !ok || sum != fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli)) {
			// A crash tears the line it was writing, perhaps the first one; what follows stands on its own.
			if strings.HasSuffix(l, "\n") {
				torn++
			}
			continue
		}
		out = append(out, text)
	}
	if torn > 0 && torn > len(out) {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "journal: read", Subject: name,
			Err: fmt.Errorf("%d of %d records are damaged", torn, torn+len(out)), Advice: "restore the file"}
	}
	return out, nil
}

// Rewrite replaces the whole journal by the given records, atomically.
func Rewrite(name string, texts []string) error {
	var b strings.Builder
	for _, t := range texts {
		if err := check(name, t); err != nil {
			return err
		}
		b.WriteString(line(t))
	}
	if err := durable.ReplaceBy(name+".new", name, []byte(b.String())); err != nil {
		return fmt.Errorf("journal: rewrite: %w", err)
	}
	return nil
}
