package mirrorspec

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written like "90m", "72h" or "3d".
type Duration time.Duration

// Units of durations, longest first. A day is always 24 hours.
var durationUnits = []unit{
	{"w", uint64(7 * 24 * time.Hour)}, {"d", uint64(24 * time.Hour)}, {"h", uint64(time.Hour)},
	{"m", uint64(time.Minute)}, {"s", uint64(time.Second)},
	{"ms", uint64(time.Millisecond)}, {"us", uint64(time.Microsecond)}, {"ns", 1},
}

type unit struct {
	name string
	of   uint64
}

var errTooLarge = errors.New("too large")

// ParseDuration reads whole numbers with units w, d, h, m, s, ms, us or ns, each
// unit at most once and longest first: "7d", "1h30m", "0s". It is never negative.
func ParseDuration(s string) (Duration, error) {
	var total uint64
	rest, units := s, durationUnits
	for first := true; first || rest != ""; first = false {
		digits, after := leadingDigits(rest)
		name := after[:len(after)-len(strings.TrimLeft(after, "abcdefghijklmnopqrstuvwxyz"))]
		i := indexUnit(units, name)
		if digits == "" || i < 0 {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		n, err := multiply(digits, units[i].of)
		if err != nil || n > math.MaxInt64-total {
			return 0, fmt.Errorf("duration %q: %w", s, errTooLarge)
		}
		total += n
		rest, units = after[len(name):], units[i+1:]
	}
	return Duration(total), nil
}

// String renders the duration as ParseDuration reads it, in days and shorter units.
func (d Duration) String() string {
	if d <= 0 {
		return time.Duration(d).String() // only made by code, never by a spec; 0s
	}
	var b strings.Builder
	left := uint64(d)
	for _, u := range durationUnits[1:] {
		if n := left / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left %= u.of
		}
	}
	return b.String()
}

// MarshalText renders the duration for JSON.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText rendered.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// Size is a number of bytes, written like "10GB" (powers of 1000) or "512MiB" (of 1024).
type Size int64

var sizeUnits = []unit{
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3},
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// ParseSize reads a whole number with a unit: B, kB, MB, GB, TB, PB or KiB … PiB.
func ParseSize(s string) (Size, error) {
	digits, name := leadingDigits(s)
	i := indexUnit(sizeUnits, name)
	if digits == "" || i < 0 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	n, err := multiply(digits, sizeUnits[i].of)
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", s, err)
	}
	return Size(n), nil
}

// String renders the size in the largest unit that loses nothing.
func (s Size) String() string {
	best := unit{"B", 1}
	for _, u := range sizeUnits {
		if s > 0 && uint64(s)%u.of == 0 && u.of > best.of {
			best = u
		}
	}
	return strconv.FormatInt(int64(s)/int64(best.of), 10) + best.name
}

// MarshalText renders the size for JSON.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText rendered.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// Rate is a number of bytes per second, written like "50MB/s".
type Rate int64

// ParseRate reads a size followed by "/s".
func ParseRate(s string) (Rate, error) {
	text, ok := strings.CutSuffix(s, "/s")
	size, err := ParseSize(text)
	if errors.Is(err, errTooLarge) {
		return 0, fmt.Errorf("rate %q: %w", s, errTooLarge)
	}
	if !ok || err != nil {
		return 0, fmt.Errorf("%q is not a rate", s)
	}
	return Rate(size), nil
}

// String renders the rate as ParseRate reads it.
func (r Rate) String() string { return Size(r).String() + "/s" }

// MarshalText renders the rate for JSON.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText rendered.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// Share is a part of a whole in hundredths of a percent, written like "20%" or "0.25%".
type Share int

const wholeShare Share = 100 * 100

// ParseShare reads a percentage of at most two decimals, between 0% and 100%.
func ParseShare(s string) (Share, error) {
	text, ok := strings.CutSuffix(s, "%")
	whole, decimals, dot := strings.Cut(text, ".")
	digits, rest := leadingDigits(whole)
	fraction, tail := leadingDigits(decimals)
	if !ok || digits == "" || rest != "" || tail != "" || len(fraction) > 2 || dot == (fraction == "") {
		return 0, fmt.Errorf("%q is not a share", s)
	}
	n, err := strconv.ParseUint(digits+(fraction + "00")[:2], 10, 31)
	if err != nil || Share(n) > wholeShare {
		return 0, fmt.Errorf("share %q is above 100%%", s)
	}
	return Share(n), nil
}

// String renders the share as ParseShare reads it.
func (s Share) String() string {
	text := strconv.Itoa(int(s / 100))
	if f := s % 100; f != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%02d", f), "0")
	}
	return text + "%"
}

// Fraction returns the share as a number from 0 to 1.
func (s Share) Fraction() float64 { return float64(s) / float64(wholeShare) }

// MarshalText renders the share for JSON.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText rendered.
func (s *Share) UnmarshalText(text []byte) (err error) {
	*s, err = ParseShare(string(text))
	return err
}

func leadingDigits(s string) (digits, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

func indexUnit(units []unit, name string) int {
	for i, u := range units {
		if u.name == name {
			return i
		}
	}
	return -1
}

// multiply returns digits × by, or errTooLarge above the largest int64.
func multiply(digits string, by uint64) (uint64, error) {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, errTooLarge
	}
	high, low := bits.Mul64(n, by)
	if high > 0 || low > math.MaxInt64 {
		return 0, errTooLarge
	}
	return low, nil
}
