package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"

	"mirrorcycle/mirrorspec"
)

// TestEveryChangeOfASpecReachesItsSchedule: what a schedule does not take over,
// its cycles never do, and every run on demand says that it should.
func TestEveryChangeOfASpecReachesItsSchedule(t *testing.T) {
	spec := func(change func(*mirrorspec.Spec)) *mirrorspec.Spec {
		s := &mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "demo", Every: 1}, Regions: []mirrorspec.Region{{Name: "dfw"}, {Name: "ord"}},
			Mirrors: []mirrorspec.Mirror{{Name: "debian"}, {Name: "ubuntu"}}}
		change(s)
		return s
	}
	for name, tc := range map[string]struct {
		change func(*mirrorspec.Spec)
		want   []string
	}{
		"nothing":       {func(*mirrorspec.Spec) {}, nil},
		"a storage":     {func(s *mirrorspec.Spec) { s.Storage.MinFree = 1 }, []string{"storage: changed"}},
		"a webhook":     {func(s *mirrorspec.Spec) { s.Notify = &mirrorspec.Notify{URLFile: "/etc/webhook"} }, []string{"notify: added"}},
		"another order": {func(s *mirrorspec.Spec) { slices.Reverse(s.Mirrors) }, []string{"order of mirrors or regions: changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			have, err := appliedOf(spec(func(*mirrorspec.Spec) {}))
			if err != nil {
				t.Fatal(err)
			}
			want, err := appliedOf(spec(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, have.difference(want)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCycleKeysReachTheSchedule: when Temporal starts cycles is what [cycle] says.
func TestCycleKeysReachTheSchedule(t *testing.T) {
	options := func(change func(*mirrorspec.Cycle)) client.ScheduleOptions {
		spec := &mirrorspec.Spec{Cycle: mirrorspec.Cycle{Name: "demo", Every: mirrorspec.Duration(time.Hour)}}
		change(&spec.Cycle)
		return scheduleOptions(spec, applied{})
	}
	for key, tc := range map[string]struct {
		change func(*mirrorspec.Cycle)
		is     func(client.ScheduleOptions) bool
	}{
		"every": {func(c *mirrorspec.Cycle) { c.Every = mirrorspec.Duration(2 * time.Hour) },
			func(o client.ScheduleOptions) bool { return o.Spec.Intervals[0].Every == 2*time.Hour }},
		"cron": {func(c *mirrorspec.Cycle) { c.Cron = "0 3 * * *" },
			func(o client.ScheduleOptions) bool {
				return slices.Equal(o.Spec.CronExpressions, []string{"0 3 * * *"}) && o.Spec.Intervals == nil
			}},
		"time-zone": {func(c *mirrorspec.Cycle) { c.Cron, c.TimeZone = "0 3 * * *", "Europe/Berlin" },
			func(o client.ScheduleOptions) bool { return o.Spec.TimeZoneName == "Europe/Berlin" }},
		"jitter": {func(c *mirrorspec.Cycle) { c.Jitter = mirrorspec.Duration(time.Minute) },
			func(o client.ScheduleOptions) bool { return o.Spec.Jitter == time.Minute }},
		"catch-up": {func(c *mirrorspec.Cycle) { c.CatchUp = mirrorspec.Duration(5 * time.Hour) },
			func(o client.ScheduleOptions) bool { return o.CatchupWindow == 5*time.Hour }},
	} {
		if tc.is(options(func(*mirrorspec.Cycle) {})) {
			t.Errorf("%s changes nothing", key)
		}
		if o := options(tc.change); !tc.is(o) {
			t.Errorf("%s: %+v", key, o.Spec)
		}
	}
}
