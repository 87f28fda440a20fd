package manifest

import (
	"hash/maphash"
	"sort"
	"sync"

	"mirrorcycle/internal/fault"
)

// BlockStore is a Store that can read a part of a segment: ReadSegmentAt fills
// buf from offset bytes behind the beginning of the segment of that digest.
type BlockStore interface {
	Store
	ReadSegmentAt(d Digest, buf []byte, offset int64) error
}

// blockLines is how many entries are read to find one: about 8 KB of a segment.
const blockLines = 64

// index says where the blocks of one segment are. It is made when the segment
// is proved as a whole, and holds a checksum of each block: a block that is
// read later is the one that was proved, or refused.
type index struct {
	ends   []uint32 // behind the last byte of each block
	sums   []uint64
	firsts string   // the first path of each block, one behind the other
	starts []uint32 // where in firsts the path of each block begins
}

// seed makes the checksums: they are kept in memory only.
var seed = maphash.MakeSeed()

// newIndex cuts the whole of a segment into blocks.
func newIndex(data []byte) (*index, error) {
	ix := &index{}
	var firsts []byte
	ls := lines{data}
	begin, n := 0, 0
	for len(ls.rest) > 0 {
		l, _, err := ls.next()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			ix.starts = append(ix.starts, uint32(len(firsts)))
			firsts = append(firsts, l.path...)
		}
		if n++; n == blockLines || len(ls.rest) == 0 {
			end := len(data) - len(ls.rest)
			ix.ends = append(ix.ends, uint32(end))
			ix.sums = append(ix.sums, maphash.Bytes(seed, data[begin:end]))
			begin, n = end, 0
		}
	}
	ix.firsts = string(firsts)
	return ix, nil
}

func (ix *index) size() int { return 128 + len(ix.firsts) + 16*len(ix.ends) }

// first returns the first path of block b.
func (ix *index) first(b int) string {
	end := len(ix.firsts)
	if b+1 < len(ix.starts) {
		end = int(ix.starts[b+1])
	}
	return ix.firsts[ix.starts[b]:end]
}

// find returns the block that would hold path.
func (ix *index) find(path string) int {
	b := sort.Search(len(ix.ends), func(b int) bool { return ix.first(b) > path })
	return max(b-1, 0)
}

// begin is where block b begins, in bytes from the segment's beginning.
func (ix *index) begin(b int) int64 {
	if b == 0 {
		return 0
	}
	return int64(ix.ends[b-1])
}

// indexBytes bounds the memory of all indexes of the process: enough for some
// ten million entries. Older ones go when the younger half is full.
const indexBytes = 32 << 20

// shelf keeps the indexes of the segments that this process proved lately,
// whichever manifest they were read for. What an index says holds for every
// store: its blocks are read, and checked, where the manifest is.
type shelf struct {
	mu         sync.Mutex
	young, old map[Digest]*index
	bytes      int // of young
}

var proved shelf

func (s *shelf) get(d Digest) *index {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ix := s.young[d]; ix != nil {
		return ix
	}
	ix := s.old[d]
	if ix != nil {
		s.add(d, ix)
	}
	return ix
}

func (s *shelf) put(d Digest, ix *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(d, ix)
}

func (s *shelf) add(d Digest, ix *index) {
	if s.young == nil || s.bytes+ix.size() > indexBytes/2 {
		s.old, s.young, s.bytes = s.young, map[Digest]*index{}, 0
	}
	if s.young[d] == nil {
		s.bytes += ix.size()
	}
	s.young[d] = ix
}

// window is a part of a segment at hand: one block of it, or the whole.
type window struct {
	data []byte
	seg  int
	next int // the block behind data, -1 if data reaches to the segment's end
	ix   *index
}

// around returns a part of segment i that would hold path: what is at hand, a
// block, or, where this process has not proved the segment yet, the whole.
func (m *Manifest) around(i int, path string) (window, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.hand
	if w.data != nil && w.seg == i && (w.ix == nil || w.next == w.ix.find(path)+1) {
		return w, nil
	}
	var err error
	if ix, part := m.blocks(i); ix != nil {
		w, err = m.block(part, i, ix, ix.find(path))
	} else {
		w, err = m.whole(i)
	}
	if err == nil {
		m.hand = w
	}
	return w, err
}

// blocks returns the index of segment i if it was proved before, and the store can read parts.
func (m *Manifest) blocks(i int) (*index, BlockStore) {
	part, ok := m.store.(BlockStore)
	if !ok {
		return nil, nil
	}
	return proved.get(m.segments[i].digest), part
}

// whole reads and proves segment i.
func (m *Manifest) whole(i int) (window, error) {
	data, err := m.read(i)
	if err != nil {
		return window{}, err
	}
	if _, ok := m.store.(BlockStore); ok {
		ix, err := newIndex(data)
		if err != nil {
			return window{}, err
		}
		proved.put(m.segments[i].digest, ix)
	}
	return window{data: data, seg: i, next: -1}, nil
}

// block reads block b of segment i, and checks that it is what was proved.
func (m *Manifest) block(part BlockStore, i int, ix *index, b int) (window, error) {
	d, begin := m.segments[i].digest, ix.begin(b)
	data := make([]byte, int64(ix.ends[b])-begin)
	if err := part.ReadSegmentAt(d, data, begin); err != nil {
		return window{}, readError(d, err)
	}
	if maphash.Bytes(seed, data) != ix.sums[b] {
		return window{}, corrupt("manifest: read segment", d)
	}
	return window{data: data, seg: i, next: b + 1, ix: ix}, nil
}

// after returns the block behind w in the same segment; ok is false at the segment's end.
func (m *Manifest) after(w window) (next window, ok bool, err error) {
	if w.ix == nil || w.next >= len(w.ix.ends) {
		return window{}, false, nil
	}
	part, ok := m.store.(BlockStore)
	if !ok {
		return window{}, false, nil
	}
	next, err = m.block(part, w.seg, w.ix, w.next)
	return next, err == nil, err
}

func corrupt(op string, d Digest) error {
	return &fault.Error{Kind: fault.Corrupt, Op: op, Subject: d.String(), Advice: "restore the state directory from a backup"}
}
