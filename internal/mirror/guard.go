package mirror

import (
	"fmt"
	"strings"

	"mirrorcycle/internal/tree"
	"mirrorcycle/mirrorspec"
)

// Guard says why a plan needs a person's approval, in no words if it does not:
// it removes more than the share and the count together, or it empties a unit,
// or it removes more than half of a mirror of any size. What upstream quarantined
// does not count: it is urgent whatever share it is. But more than half of a
// mirror in several projects at once is more likely a fault of upstream, or an attack.
func Guard(g mirrorspec.Guard, info tree.PlanInfo) (reasons []string) {
	drops := info.Drops - info.Urgent
	if info.UrgentUnits > 1 && 2*info.Urgent > info.BaseObjects {
		drops = info.Drops
	}
	share := float64(drops) / float64(max(info.BaseObjects, 1))
	switch {
	case share > 0.5:
		reasons = append(reasons, fmt.Sprintf("removes %d of %d objects, more than half", drops, info.BaseObjects))
	case share > g.Share.Fraction() && drops > int64(g.Count):
		reasons = append(reasons, fmt.Sprintf("removes %d of %d objects, more than %s and more than %d", drops, info.BaseObjects, g.Share, g.Count))
	}
	if len(info.Renamed) > 0 {
		reasons = append(reasons, "takes "+strings.Join(info.Renamed, ", "))
	}
	if len(info.Jumps) > 0 {
		reasons = append(reasons, "jumps ahead: "+strings.Join(info.Jumps, ", "))
	}
	if len(info.Emptied) > 0 {
		reasons = append(reasons, "empties "+strings.Join(info.Emptied, ", "))
	}
	return reasons
}
