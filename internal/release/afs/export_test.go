package afs

import (
	"context"
	"net/netip"

	"mirrorcycle/internal/afsread"
	"mirrorcycle/internal/ledger"
	"mirrorcycle/internal/tree"
	"mirrorcycle/internal/vos"
)

// Begin writes the journal of a run.
func (b *Backend) Begin(ctx context.Context, n int64) error {
	_, err := b.begin(ctx, &view{}, &tree.Generation{Served: tree.Served{Number: n}}, false)
	return err
}

// RemoveLate looks at sites 192.0.2.1, 192.0.2.2, … that hold these generations; 0 stands for one that is silent.
func (b *Backend) RemoveLate(ctx context.Context, held ...int64) error {
	v := &view{b: b}
	addr := netip.MustParseAddr("192.0.2.0")
	for _, n := range held {
		addr = addr.Next()
		s := &site{Site: vos.Site{Server: addr, Partition: "a", ReadOnly: true}, Held: tree.Served{Number: n}}
		if n == 0 {
			s.Err = afsread.ErrSilent
		}
		v.sites = append(v.sites, s)
	}
	return b.removeLate(ctx, v)
}

// Seen notes that a site was seen to serve generation n.
func (b *Backend) Seen(site string, n int64) error { return b.append(site, ledger.Serves, n) }

// Stillness is stillness, which no test should wait for.
var Stillness = &stillness
