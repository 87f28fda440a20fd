package afs

import (
	"fmt"
	"iter"
	"path"
	"strings"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Fit reports whether the directories of a tree have room for the paths added,
// none of which is there already: an AFS directory ends at 64,000 short names, at half of that for longer ones.
// The tree holds what now names, and what is retained. The error is
// fault.NoSpace for the first directory that would overflow.
func Fit(now *manifest.Manifest, retained map[string]manifest.Entry, added iter.Seq2[string, error]) error {
	slots := map[string]int{} // of the names added to each directory
	bound := 0
	for p, err := range added {
		if err != nil {
			return err
		}
		for dir, name := split(p); ; dir, name = split(dir) {
			_, known := slots[dir]
			slots[dir] += afsread.Slots(name)
			bound = max(bound, slots[dir])
			if known || dir == "" {
				break
			}
		}
	}
	// No directory holds more than all that there is: most mirrors need no closer look.
	const longest = 9 // slots of a name of 255 bytes
	if bound+longest*(int(now.Totals().Objects+now.Totals().Indexes)+len(retained)) < afsread.MaxSlots {
		return nil
	}
	if err := present(now, slots, keep(retained, slots)); err != nil {
		return err
	}
	for dir, need := range slots {
		if need > afsread.MaxSlots {
			return &fault.Error{Kind: fault.NoSpace, Op: "afs: plan", Subject: "directory " + path.Join("/", dir),
				Err:    fmt.Errorf("it would need %d of the %d slots that an AFS directory has", need, afsread.MaxSlots),
				Advice: "mirror fewer projects, or release this mirror to directory regions"}
		}
	}
	return nil
}

// keep adds to the directories in slots what is retained there, and the
// directories on the way to it, but for those that are in slots themselves. It
// returns what it counted.
func keep(retained map[string]manifest.Entry, slots map[string]int) map[string]bool {
	kept := map[string]bool{}
	for p := range retained {
		for dir, name := split(p); !kept[p]; dir, name = split(p) {
			_, touched := slots[dir]
			if _, counted := slots[p]; touched && !counted {
				slots[dir] += afsread.Slots(name)
			}
			kept[p] = true
			if p = dir; dir == "" {
				break
			}
		}
	}
	return kept
}

// few is up to how many directories are looked at one by one.
const few = 64

// present adds to the directories in slots what now has there. Names that are
// themselves in slots were counted as parents of something added, those in
// kept as retained.
func present(now *manifest.Manifest, slots map[string]int, kept map[string]bool) error {
	more := map[string]int{}
	count := func(dir, name string) {
		if _, touched := slots[dir]; touched {
			p := path.Join(dir, name)
			if _, counted := slots[p]; !counted && !kept[p] {
				more[dir] += afsread.Slots(name)
			}
		}
	}
	if len(slots) <= few {
		for dir := range slots {
			for name, err := range now.Children(dir) {
				if err != nil {
					return err
				}
				count(dir, name)
			}
		}
	} else if err := walk(now, count); err != nil {
		return err
	}
	for dir, n := range more {
		slots[dir] += n
	}
	return nil
}

// walk calls f for every name in every directory, once.
func walk(m *manifest.Manifest, f func(dir, name string)) error {
	last := "" // directory of the path before
	for e, err := range m.All() {
		if err != nil {
			return err
		}
		dir, name := split(e.Path)
		f(dir, name)
		for from := dir; from != "" && from != last && !strings.HasPrefix(last, from+"/"); {
			from, name = split(from)
			f(from, name)
		}
		last = dir
	}
	return nil
}

func split(p string) (dir, name string) {
	dir, name = path.Split(p)
	return path.Clean("/" + dir)[1:], name
}
