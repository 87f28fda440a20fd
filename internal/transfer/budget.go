package transfer

import (
	"errors"
	"sync/atomic"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/tree"
)

// maxUntold is what Options.Untold is by default, in bytes.
const maxUntold = 64 << 30

// budgeted is a file that takes its bytes from a budget, and gives them back
// when they turn out to be useless.
type budgeted struct {
	*tree.File
	left  *atomic.Int64 // nil: the size is told, and counted before
	taken int64
}

func (b *budgeted) Write(p []byte) (int, error) {
	if b.left != nil {
		b.taken += int64(len(p))
		if b.left.Add(-int64(len(p))) < 0 {
			return 0, &fault.Error{Kind: fault.Unavailable, Op: "transfer: write", Subject: "an object whose size upstream does not tell",
				Err:    errors.New("such objects of one shard have more bytes together than is allowed"),
				Advice: "nothing to do: a later cycle takes the rest"}
		}
	}
	return b.File.Write(p)
}

// Reset implements fetch.Sink.
func (b *budgeted) Reset() error {
	b.giveBack()
	return b.File.Reset()
}

func (b *budgeted) giveBack() {
	if b.left != nil {
		b.left.Add(b.taken)
		b.taken = 0
	}
}
