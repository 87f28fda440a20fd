package mirror

import (
	"time"

	"mirrorcycle/internal/site"
)

// surveyed is how many generations of a mirror a status page shows.
const surveyed = 12

// Survey fills in what the tree says about the mirror. The mirror is open to read.
func (m *Mirror) Survey(out *site.Mirror) error {
	st, err := status(m.t)
	if err != nil {
		return err
	}
	out.Committed, out.Time, out.Hold, out.FreeBytes = st.Committed, st.Time, st.Hold, st.FreeBytes
	out.Serial, out.Date = st.Upstream.Serial, st.Upstream.Date
	out.Objects, out.Bytes, out.Retained, out.Generation = st.Objects, st.Bytes, st.Retained, st.Sealed
	lacks, err := lacking(m.t, m.Mirror.Kind, maxLacks)
	if err != nil {
		return err
	}
	out.Lacks = lacksOf(lacks)
	numbers, err := m.t.Generations()
	if err != nil {
		return err
	}
	for _, n := range numbers[max(len(numbers)-surveyed, 0):] {
		g, err := m.t.Generation(n)
		if err != nil {
			return err
		}
		if n == st.Sealed {
			out.Time = g.Time
		}
		c := g.Changes
		out.Generations = append(out.Generations, site.Generation{Number: n, Time: g.Time, Added: c.Added, AddedBytes: c.AddedBytes, Dropped: c.Dropped, Replaced: c.Replaced, Indexes: c.Indexes})
	}
	return nil
}

// ValidUntil is when what the mirror has committed expires, zero if it does not
// say; ok is false if that cannot be read.
func (m *Mirror) ValidUntil() (at time.Time, ok bool) {
	expires := kinds[m.Mirror.Kind].Expires
	g, err := m.t.Committed()
	if err != nil || g == nil || expires == nil {
		return at, err == nil
	}
	at, _ = expires(g) // what is corrupt there, the run says
	return at, true
}
