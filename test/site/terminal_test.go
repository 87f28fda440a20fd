package site_test

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var escape = regexp.MustCompile(`^\x1b\[(\d*)([A-Za-z])`)

// colors are those of the stages and outcomes that console writes.
var colors = map[string]string{"31": "#e06c75", "32": "#98c379", "33": "#e5c07b", "36": "#56b6c2"}

// screen is what a terminal shows after text was written to it, as lines of
// HTML: of the escape sequences it knows those that starter writes.
func screen(text string) []string {
	lines, y := []string{""}, 0
	for len(text) > 0 {
		if m := escape.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch m[2] {
			case "A":
				y = max(y-n, 0)
			case "J":
				lines = append(lines[:y], "")
			case "m":
				if c := colors[m[1]]; c != "" {
					lines[y] += `<span style="color:` + c + `">`
				} else {
					lines[y] += "</span>"
				}
			}
			text = text[len(m[0]):]
			continue
		}
		c := []rune(text)[0]
		text = text[len(string(c)):]
		switch c {
		case '\r':
		case '\n':
			if y++; y == len(lines) {
				lines = append(lines, "")
			}
		default:
			lines[y] += html.EscapeString(string(c))
		}
	}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" && len(lines) == 1 })
}

// terminal is a page that shows a command and what it wrote to a terminal.
func terminal(command, text string, hide [][2]string) string {
	body := strings.TrimRight(strings.Join(screen(text), "\n"), "\n")
	for _, h := range hide {
		body = strings.ReplaceAll(body, html.EscapeString(h[0]), h[1])
	}
	return fmt.Sprintf(`<!doctype html><html lang="en"><meta charset="utf-8"><title>%[1]s</title><body style="margin:0;background:#1e2127;width:fit-content">
<pre style="margin:0;padding:16px 20px;color:#d7dae0;font:14px/1.45 'DejaVu Sans Mono',monospace"><span style="color:#7f848e">$</span> %[1]s
%[2]s</pre></body></html>`, html.EscapeString(command), body)
}
