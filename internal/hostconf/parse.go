package hostconf

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
)

// ParseList reads apt's one-line form: type, [options], URI, suite, components.
func ParseList(text string) (out []Source) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		if kind != "deb" && kind != "deb-src" {
			continue
		}
		s := Source{Source: kind == "deb-src", At: ":" + strconv.Itoa(number)}
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "["); ok {
			var options string
			options, rest, _ = strings.Cut(after, "]")
			s.options(options)
		}
		if strings.HasPrefix(rest, "cdrom:[") { // the only URI with blanks
			s.URIs, s.Suites = []string{"cdrom:"}, []string{"cdrom"}
			out = append(out, s)
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		s.URIs, s.Suites, s.Components = fields[:1], fields[1:2], fields[2:]
		out = append(out, s)
	}
	return out
}

func (s *Source) options(text string) {
	for _, o := range strings.Fields(text) {
		key, value, _ := strings.Cut(o, "=")
		switch strings.ToLower(key) {
		case "arch":
			s.Architectures = strings.Split(value, ",")
		case "signed-by":
			s.signedBy(strings.Split(value, ","))
		case "trusted":
			s.Trusted = value == "yes"
		}
	}
}

// signedBy keeps the first path; fingerprints choose among keys that are trusted anyway.
func (s *Source) signedBy(values []string) {
	for _, v := range values {
		if strings.HasPrefix(v, "/") && s.SignedBy == "" {
			s.SignedBy = v
		}
	}
}

// ParseDeb822 reads apt's newer form: stanzas of fields.
func ParseDeb822(text string) (out []Source) {
	fields := map[string]string{}
	end := func() {
		if s, ok := stanza(fields); ok {
			out = append(out, s...)
		}
		clear(fields)
	}
	key := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			end()
			key = ""
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			if key != "" {
				fields[key] += "\n" + strings.TrimSpace(line)
			}
		default:
			var value string
			key, value, _ = strings.Cut(line, ":")
			key = strings.ToLower(strings.TrimSpace(key))
			fields[key] = strings.TrimSpace(value)
		}
	}
	end()
	return out
}

func stanza(f map[string]string) (out []Source, ok bool) {
	switch strings.ToLower(f["enabled"]) {
	case "no", "false", "0", "off":
		return nil, false
	}
	s := Source{URIs: strings.Fields(f["uris"]), Suites: strings.Fields(f["suites"]), Components: strings.Fields(f["components"]),
		Architectures: strings.Fields(f["architectures"])}
	s.Trusted = strings.EqualFold(f["trusted"], "yes")
	if key := f["signed-by"]; strings.Contains(key, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		s.Key = armored(key)
	} else {
		s.signedBy(strings.FieldsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }))
	}
	for _, kind := range strings.Fields(f["types"]) {
		if kind == "deb" || kind == "deb-src" {
			one := s
			one.Source = kind == "deb-src"
			out = append(out, one)
		}
	}
	return out, len(s.URIs) > 0
}

// armored is a key that stands in a field: a line of a dot is an empty one.
func armored(field string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(field)) {
		if line = strings.TrimSpace(line); line == "." {
			line = ""
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// ParsePip reads the indexes of a pip.conf: index-url and extra-index-url of
// the sections that pip install reads.
func ParsePip(text string) (out []string) {
	section, key := "", ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		switch {
		case bare == "" || bare[0] == '#' || bare[0] == ';':
			continue
		case bare[0] == '[':
			section, key = strings.Trim(bare, "[]"), ""
			continue
		case line[0] != ' ' && line[0] != '\t':
			i := strings.IndexAny(bare, "=:")
			if i < 0 {
				key = ""
				continue
			}
			key, bare = strings.ReplaceAll(strings.TrimSpace(bare[:i]), "_", "-"), bare[i+1:]
		}
		if (section == "global" || section == "install") && (key == "index-url" || key == "extra-index-url") {
			out = append(out, strings.Fields(bare)...)
		}
	}
	return out
}

// ParseUV reads the indexes of a uv.toml.
func ParseUV(text string) (out []string) {
	var f struct {
		IndexURL      string   `toml:"index-url"`
		ExtraIndexURL []string `toml:"extra-index-url"`
		Pip           struct {
			IndexURL      string   `toml:"index-url"`
			ExtraIndexURL []string `toml:"extra-index-url"`
		} `toml:"pip"`
		Index []struct {
			URL    string `toml:"url"`
			Format string `toml:"format"`
		} `toml:"index"`
	}
	if toml.Unmarshal([]byte(text), &f) != nil {
		return nil
	}
	for _, i := range f.Index {
		if i.Format == "flat" { // a page of files, and no index of projects
			i.URL = "flat:"
		}
		out = append(out, i.URL)
	}
	for _, u := range []string{f.IndexURL, f.Pip.IndexURL} {
		if u != "" {
			out = append(out, u)
		}
	}
	return append(append(out, f.ExtraIndexURL...), f.Pip.ExtraIndexURL...)
}
