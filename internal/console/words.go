package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// objects is "done/total" with commas.
func (m Mirror) objects() string {
	if m.Objects == 0 {
		return ""
	}
	return commas(m.DoneObjects) + "/" + commas(m.Objects)
}

// bytes is "done/total" in the unit of the total.
func (m Mirror) bytes() string {
	if m.Bytes == 0 {
		return ""
	}
	scale, unit := unitOf(float64(m.Bytes))
	return digits(float64(m.DoneBytes)/scale, scale) + "/" + digits(float64(m.Bytes)/scale, scale) + " " + unit
}

func rate(bytes float64, ended bool) string {
	if ended {
		return ""
	}
	scale, unit := unitOf(bytes)
	return digits(bytes/scale, scale) + " " + unit + "/s"
}

// unitOf returns the decimal unit for a number of bytes, as the spec counts them.
func unitOf(n float64) (scale float64, unit string) {
	scale, unit = 1, "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if n < 999.5*scale {
			break
		}
		scale, unit = scale*1000, next
	}
	return scale, unit
}

// digits writes a number below 1000 with one decimal where that says something.
func digits(n, scale float64) string {
	if scale == 1 || n >= 99.95 {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func commas(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// clock is "m:ss", or "h:mm:ss".
func clock(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

func plural[N int | int64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return commas(int64(n)) + " " + word + "s"
}

// cut shortens text to a number of columns. Control characters, which could
// steer the terminal, become "?".
func cut(text string, columns int) string {
	text = strings.Map(func(c rune) rune {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, text)
	if runes := []rune(text); len(runes) > columns {
		return string(runes[:max(columns-1, 0)]) + "~"
	}
	return text
}
