package mirrorspec_test

import (
	"testing"
	"time"

	"mirrorcycle/mirrorspec"
)

func TestPeriodOfASchedule(t *testing.T) {
	for cron, want := range map[string]time.Duration{
		"0 */2 * * *":       2 * time.Hour,
		"0 * * * *":         time.Hour,
		"*/15 * * * *":      15 * time.Minute,
		"* * * * *":         time.Minute,
		"5,35 * * * *":      30 * time.Minute,
		"50,10 * * * *":     20 * time.Minute,
		"0 3 * * *":         24 * time.Hour,
		"0 3 * * MON":       24 * time.Hour,
		"0 3 1 1 *":         24 * time.Hour,
		"0 1,9,17 * * *":    8 * time.Hour,
		"30 8-18/2 * * 1-5": 2 * time.Hour,
		"10/20 * * * *":     20 * time.Minute,
		"0 23,0 * * *":      time.Hour,
		"7-9 0 * * *":       time.Minute,
		"99 * * * *":        time.Minute,
		"@hourly":           time.Hour,
		"@daily":            24 * time.Hour,
		"@weekly":           24 * time.Hour,
	} {
		if got := (mirrorspec.Cycle{Cron: cron}).Period(); got != want {
			t.Errorf("%s: %s, want %s", cron, got, want)
		}
	}
	if got := (mirrorspec.Cycle{Every: mirrorspec.Duration(2 * time.Hour)}).Period(); got != 2*time.Hour {
		t.Errorf("every 2h: %s", got)
	}
}
