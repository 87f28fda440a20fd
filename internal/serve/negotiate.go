package serve

import (
	"mime"
	"strconv"
	"strings"

	"mirrorcycle/internal/simpleindex"
)

// form is one form of a simple index.
type form struct {
	name  string // of the file
	media string
	alias string // PEP 691: the newest version, which is the only one
}

// forms in the order that decides between equals: a client that takes anything
// may well be a browser, or older than PEP 691.
var forms = []form{
	{simpleindex.HTMLName, simpleindex.MediaHTML, ""},
	{simpleindex.V1JSONName, simpleindex.MediaV1JSON, "application/vnd.pypi.simple.latest+json"},
	{simpleindex.V1HTMLName, simpleindex.MediaV1HTML, "application/vnd.pypi.simple.latest+html"},
}

func offered() string {
	var media []string
	for _, f := range forms {
		media = append(media, f.media)
	}
	return strings.Join(media, ", ")
}

// span is one media range of an Accept header with its weight.
type span struct {
	media string
	q     float64
}

// negotiate chooses the form that Accept headers weigh highest; the most
// specific range that fits a form gives its weight (RFC 9110, 12.5.1). Without a
// header anything is welcome; ok is false if nothing fits.
func negotiate(accept []string) (best form, ok bool) {
	spans := parseAccept(accept)
	top := 0.0
	for _, f := range forms {
		if q := f.weight(spans); q > top {
			best, top = f, q
		}
	}
	return best, top > 0
}

// parseAccept reads the ranges; one that cannot be read is passed over.
func parseAccept(accept []string) (spans []span) {
	all := strings.Join(accept, ",")
	if strings.Trim(all, " \t,") == "" {
		return []span{{"*/*", 1}}
	}
	for part := range strings.SplitSeq(all, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(0 <= q && q <= 1) {
				continue
			}
		}
		spans = append(spans, span{media, q})
	}
	return spans
}

func (f form) weight(spans []span) (q float64) {
	major, _, _ := strings.Cut(f.media, "/")
	specific := 0
	for _, s := range spans {
		rank := 0
		switch s.media {
		case f.media:
			rank = 4
		case f.alias:
			rank = 3
		case major + "/*":
			rank = 2
		case "*/*":
			rank = 1
		}
		if rank > specific {
			specific, q = rank, s.q
		}
	}
	return q
}
