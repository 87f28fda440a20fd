package mirrorspec_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mirrorcycle/mirrorspec"
)

func ExampleParseDuration() {
	for _, s := range []string{"7d", "72h", "90m", "1d12h", "2w", "0s", "1.5h"} {
		d, err := mirrorspec.ParseDuration(s)
		fmt.Println(d, time.Duration(d), err)
	}
	// Output:
	// 7d 168h0m0s <nil>
	// 3d 72h0m0s <nil>
	// 1h30m 1h30m0s <nil>
	// 1d12h 36h0m0s <nil>
	// 14d 336h0m0s <nil>
	// 0s 0s <nil>
	// 0s 0s "1.5h" is not a duration
}

func ExampleParseSize() {
	for _, s := range []string{"10GB", "512MiB", "1500B", "2048KiB", "10"} {
		size, err := mirrorspec.ParseSize(s)
		fmt.Println(size, int64(size), err)
	}
	// Output:
	// 10GB 10000000000 <nil>
	// 512MiB 536870912 <nil>
	// 1500B 1500 <nil>
	// 2MiB 2097152 <nil>
	// 0B 0 "10" is not a size
}

func ExampleParseShare() {
	for _, s := range []string{"20%", "12.5%", "0.25%", "100%", "101%", "0.2"} {
		share, err := mirrorspec.ParseShare(s)
		fmt.Println(share, share.Fraction(), err)
	}
	// Output:
	// 20% 0.2 <nil>
	// 12.5% 0.125 <nil>
	// 0.25% 0.0025 <nil>
	// 100% 1 <nil>
	// 0% 0 share "101%" is above 100%
	// 0% 0 "0.2" is not a share
}

func TestWrongValuesAreRefused(t *testing.T) {
	for kind, c := range map[string]struct {
		parse func(string) error
		wrong []string
	}{
		"duration": {
			func(s string) error { _, err := mirrorspec.ParseDuration(s); return err },
			[]string{"", "5", "h", "-5m", "+5m", "5 m", "5m ", "1m1h", "1h1h", "1.5h", "5M", "5y", "106752d", "99999999999999999999s", "106751d24h"},
		},
		"size": {
			func(s string) error { _, err := mirrorspec.ParseSize(s); return err },
			[]string{"", "GB", "10", "10gb", "-1GB", "1.5GB", "10 GB", "10GB/s", "9224PB", "99999999999999999999B"},
		},
		"rate": {
			func(s string) error { _, err := mirrorspec.ParseRate(s); return err },
			[]string{"", "/s", "10MB", "10/s", "10MB/m", "10MB/s/s", "9224PB/s"},
		},
		"share": {
			func(s string) error { _, err := mirrorspec.ParseShare(s); return err },
			[]string{"", "%", "20", "0.2", "20.%", ".5%", "20.123%", "-1%", "100.01%", "2x%", "1.x%", "99999999999%"},
		},
	} {
		for _, s := range c.wrong {
			if err := c.parse(s); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
				t.Errorf("%s %q: error %v", kind, s, err)
			}
		}
	}
}

func TestValuesSurviveJSON(t *testing.T) {
	type values struct {
		D mirrorspec.Duration
		Z mirrorspec.Size
		R mirrorspec.Rate
		S mirrorspec.Share
	}
	rapid.Check(t, func(t *rapid.T) {
		want := values{
			mirrorspec.Duration(rapid.Int64Min(0).Draw(t, "duration")),
			mirrorspec.Size(rapid.Int64Min(0).Draw(t, "size")),
			mirrorspec.Rate(rapid.Int64Min(0).Draw(t, "rate")),
			mirrorspec.Share(rapid.IntRange(0, 10000).Draw(t, "share")),
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got values
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got != want {
			t.Fatalf("%s became %+v, not %+v", text, got, want)
		}
	})
}
