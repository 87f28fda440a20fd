package afsread

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A directory is a file of 2,048-byte pages, each of 64 slots of 32 bytes. The
// first page begins with 13 slots of header, at whose end stands a hash table
// of 128 slot numbers; entries of one hash are linked. An entry holds a flag,
// the next slot, vnode, uniquifier and a name that ends with a zero byte.
// Source: OpenAFS, "AFS-3 directory object type definition".
const (
	pageSize     = 2048
	slotSize     = 32
	slotsPerPage = pageSize / slotSize
	tableAt      = 32 + 128
	buckets      = 128
	pageTag      = 1234
	nameAt       = 12
	maxDirectory = 1023 * pageSize
)

// lookup finds a name in the content of a directory.
func lookup(dir []byte, name string) (fid, bool, error) {
	if len(dir) < pageSize || len(dir)%pageSize != 0 || binary.BigEndian.Uint16(dir[2:]) != pageTag {
		return fid{}, false, fmt.Errorf("a directory of %d bytes without its mark", len(dir))
	}
	slot := binary.BigEndian.Uint16(dir[tableAt+2*bucket(name):])
	for range len(dir) / slotSize { // a ring of entries must not hold us
		if slot == 0 {
			return fid{}, false, nil
		}
		at := int(slot) * slotSize
		if at+slotSize > len(dir) {
			return fid{}, false, fmt.Errorf("slot %d is outside the directory of %d bytes", slot, len(dir))
		}
		e := dir[at:]
		text, _, ok := bytes.Cut(e[nameAt:min(len(e), nameAt+257)], []byte{0})
		if !ok {
			return fid{}, false, fmt.Errorf("the name in slot %d has no end", slot)
		}
		if string(text) == name {
			return fid{binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:])}, true, nil
		}
		slot = binary.BigEndian.Uint16(e[2:])
	}
	return fid{}, false, fmt.Errorf("the entries of one hash form a ring")
}

// bucket is the hash of a name: computed modulo 2³², folded as a signed number.
func bucket(name string) int {
	var h uint32
	for i := range len(name) {
		h = h*173 + uint32(name[i])
	}
	b := int(h & (buckets - 1))
	if b != 0 && int32(h) < 0 {
		b = buckets - b
	}
	return b
}

// Slots returns how many slots of a directory a name takes: its first holds 15
// bytes of name, every further one 32. A directory has room for MaxSlots.
func Slots(name string) int { return 1 + (len(name)+16)/slotSize }

// MaxSlots is the room of a directory: 1,023 pages, of each of which the first
// slot is its header, less the rest of the directory's own header.
const MaxSlots = 1023*(slotsPerPage-1) - 12
