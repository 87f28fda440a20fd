package sandbox

import (
	"fmt"
	"sync"
)

// keep is how much of the beginning and of the end of a log is kept, in bytes each.
const keep = 512 << 10

// Log keeps the head and the tail of what a command printed.
type Log struct {
	Head, Tail []byte
	Dropped    int64 // bytes between them
}

// Bytes joins head and tail and says what is left out.
func (l Log) Bytes() []byte {
	out := append([]byte{}, l.Head...)
	if l.Dropped > 0 {
		out = fmt.Appendf(out, "\n[%d bytes left out]\n", l.Dropped)
	}
	return append(out, l.Tail...)
}

// recorder fills a Log; over is called once when there is more than limit.
type recorder struct {
	mu    sync.Mutex
	head  []byte
	ring  []byte // the last keep bytes, full from the first wrap on
	at    int
	total int64
	limit int64
	over  func()
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if r.total <= r.limit && r.total+int64(n) > r.limit && r.over != nil {
		r.over()
	}
	r.total += int64(n)
	if room := keep - len(r.head); room > 0 {
		k := min(room, len(p))
		r.head = append(r.head, p[:k]...)
		p = p[k:]
	}
	for len(p) > 0 {
		if len(r.ring) < keep {
			k := min(keep-len(r.ring), len(p))
			r.ring = append(r.ring, p[:k]...)
			p = p[k:]
			continue
		}
		k := copy(r.ring[r.at:], p)
		r.at = (r.at + k) % keep
		p = p[k:]
	}
	return n, nil
}

func (r *recorder) log() Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := Log{Head: r.head}
	if len(r.ring) < keep {
		l.Tail = r.ring
	} else {
		l.Tail = append(append([]byte{}, r.ring[r.at:]...), r.ring[:r.at]...)
	}
	l.Dropped = r.total - int64(len(l.Head)+len(l.Tail))
	return l
}
