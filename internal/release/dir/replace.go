package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/tree"
)

const retired = "id.retired"

// Shown is what a region's directory says of a mirror: the generation that it
// serves, nil if that cannot be read, and the highest number that it ever knew,
// 0 for none. What is damaged in one place may be whole in another.
func Shown(dir, mirror string) (served *tree.Served, number int64) {
	if s, err := Served(dir, mirror); err == nil {
		served, number = &s, s.Number
	}
	r := New(Options{Dir: dir, Mirror: mirror})
	texts, _ := journal.Read(r.path("log"))
	for _, text := range texts {
		if rec, err := ledger.ParseRecord(text); err == nil {
			number = max(number, rec.Gen)
		}
	}
	for _, kind := range []string{views, "gens"} {
		all, _ := tree.Numbered(r.path(kind), "")
		for _, n := range all {
			number = max(number, n)
		}
	}
	return served, number
}

// remains are the names that a mirror has in a region.
func remains(dir, mirror string) [3][2]string {
	return [3][2]string{{"link", filepath.Join(dir, mirror)}, {"releases", filepath.Join(dir, ".releases", mirror)}, {"records", filepath.Join(dir, private, mirror)}}
}

// Empty tells whether a region has nothing of a mirror but what was moved aside.
func Empty(dir, mirror string) bool {
	for _, part := range remains(dir, mirror) {
		if _, err := os.Lstat(part[1]); err == nil && !leadsAside(part[1]) && !bare(part[1]) {
			return false
		}
	}
	return true
}

// bare tells whether a directory is as Setup makes it.
func bare(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// aside is where old content is, and goes on being served from until a release flips the link.
const aside = private + "/aside/"

func leadsAside(link string) bool {
	target, err := os.Readlink(link)
	return err == nil && strings.HasPrefix(target, aside)
}

// MoveAside renames what a mirror has in a region out of the way, to the
// directory that it returns; whoever still writes there finds its stage gone,
// and is fenced. Clients are led there until the next release: what is damaged
// is better than nothing. A repetition goes on where an earlier one was cut off.
func MoveAside(dir, mirror string, now time.Time) (string, error) {
	name := aside + mirror + "-" + now.UTC().Format("20060102T150405.000")
	to := filepath.Join(dir, name)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", fmt.Errorf("dir: move aside: %w", err)
	}
	parts := remains(dir, mirror)
	link, temp := parts[0][1], filepath.Join(to, "shown")
	shown, _ := os.Readlink(link)
	view, ours := strings.CutPrefix(shown, private+"/"+mirror+"/")
	if ours {
		if err := os.Symlink(name+"/records/"+view, temp); err != nil {
			return "", fmt.Errorf("dir: move aside: %w", err)
		}
	}
	for _, part := range parts {
		if ours && part[1] == link {
			continue
		}
		err := durable.Rename(part[1], filepath.Join(to, part[0]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("dir: move aside: %w", err)
		}
	}
	if ours {
		if err := durable.Rename(temp, link); err != nil {
			return "", fmt.Errorf("dir: move aside: %w", err)
		}
	}
	return to, nil
}

// Retire takes the identity of a region's directory, so that nothing writes or
// deletes there any more, and notes in the ledgers of its mirrors that it is
// retired. It does nothing, and says so, where that was done before.
func Retire(dir, region string, mirrors []string, now time.Time) (before bool, err error) {
	id := filepath.Join(dir, private, "id")
	have, err := readIdentity(dir)
	if _, gone := os.Lstat(filepath.Join(dir, private, retired)); errors.Is(err, fs.ErrNotExist) && gone == nil {
		return true, nil
	}
	if err != nil || have.Region != region {
		return false, &fault.Error{Kind: fault.WrongStorage, Op: "dir: retire", Subject: dir, Err: errors.Join(err, fmt.Errorf("it is not the directory of region %s", region)),
			Advice: "run this on the region's host, with the region mounted"}
	}
	if err := durable.Rename(id, filepath.Join(dir, private, retired)); err != nil {
		return false, fmt.Errorf("dir: retire: %w", err)
	}
	// A run that began before may still write its own record over this one: then
	// the ledger says less than it could, which hurries nothing.
	for _, m := range mirrors {
		name := filepath.Join(dir, private, m, "log")
		texts, err := journal.Read(name)
		if err != nil || len(texts) == 0 {
			continue // never released to, or not readable any more
		}
		last, err := ledger.ParseRecord(texts[len(texts)-1])
		if err == nil {
			err = journal.Append(name, ledger.Record{Time: now, Event: ledger.Retired, Gen: last.Gen}.String())
		}
		if err != nil {
			return false, fmt.Errorf("dir: retire: %w", err)
		}
	}
	return false, nil
}
