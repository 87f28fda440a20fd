package serve

import (
	"bytes"
	"encoding/json"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"time"
)

// served is what the front page shows of a mirror's generation.json.
type served struct {
	Number int64     `json:"number"`
	Time   time.Time `json:"time"`
}

func readServed(root *os.Root, mirror string) (served, error) {
	var s served
	f, info, err := open(root, path.Join(mirror, servedPath))
	if err != nil {
		return s, err
	}
	defer f.Close()
	if info.IsDir() {
		return s, fs.ErrNotExist
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

type listed struct {
	Name  string
	Index string // link to the simple index, "" if there is none
	served
}

// front is the page for people: which mirrors are here, and how new they are.
func (q *request) front() {
	entries, err := fs.ReadDir(q.root.FS(), ".")
	if err != nil {
		q.refuse(err)
		return
	}
	var mirrors []listed
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		s, err := readServed(q.root, e.Name())
		if err != nil {
			continue // no mirror, or one that has nothing to show yet
		}
		m := listed{Name: e.Name(), served: s}
		if info, err := q.root.Stat(path.Join(m.Name, "simple")); err == nil && info.IsDir() {
			m.Index = "/" + m.Name + "/simple/"
		}
		mirrors = append(mirrors, m)
	}
	var b bytes.Buffer
	if err := frontPage.Execute(&b, mirrors); err != nil {
		fail(q.w, http.StatusInternalServerError)
		return
	}
	h := q.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", nothingRuns+"; style-src 'unsafe-inline'")
	http.ServeContent(q.w, q.r, "", time.Time{}, bytes.NewReader(b.Bytes()))
}

var frontPage = template.Must(template.New("front").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mirrors</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
ul { list-style: none; padding: 0; }
li { padding: .75rem 0; border-top: 1px solid GrayText; overflow-wrap: anywhere; }
strong, a { font-size: 1.125rem; }
span { display: block; }
</style>
</head>
<body>
<main>
<h1>Mirrors</h1>
{{if .}}<ul>
{{range .}}<li>{{if .Index}}<a href="{{.Index}}">{{.Name}}</a>{{else}}<strong>{{.Name}}</strong>{{end}}
<span>generation {{.Number}}{{if not .Time.IsZero}}, made <time datetime="{{.Time.UTC.Format "2006-01-02T15:04:05Z"}}">{{.Time.UTC.Format "2006-01-02 15:04 UTC"}}</time>{{end}}</span></li>
{{end}}</ul>
{{else}}<p>No mirror has been released to this region yet.</p>
{{end}}</main>
</body>
</html>
`))
