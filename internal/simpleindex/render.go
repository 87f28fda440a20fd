package simpleindex

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// apiVersion is the version of the simple API that is rendered (PEP 629).
const apiVersion = "1.4"

// RenderOptions says where a mirror keeps things. Its zero value is a page at
// simple/<name>/ beside packages/, without provenance.
type RenderOptions struct {
	// URL gives the href of a file, already escaped; nil is RelativeURL.
	URL func(File) string
	// Provenance gives the mirror's own absolute URL of a file's provenance, or
	// "" to leave it out; nil leaves all out, because a link to upstream's
	// would advertise what the mirror did not prove.
	Provenance func(File) string
}

// RelativeURL is the link from a project page to a file's ObjectPath.
func RelativeURL(f File) string {
	return "../../" + (&url.URL{Path: ObjectPath(f.URL, f.SHA256, f.Filename)}).EscapedPath()
}

func (o RenderOptions) links(f File) (href, provenance string) {
	if o.URL == nil {
		href = RelativeURL(f)
	} else {
		href = o.URL(f)
	}
	if o.Provenance != nil {
		provenance = o.Provenance(f)
	}
	return href, provenance
}

type outProject struct {
	Meta     outMeta   `json:"meta"`
	Name     string    `json:"name"`
	Status   outStatus `json:"project-status"`
	Versions []string  `json:"versions"`
	Files    []outFile `json:"files"`
}

type outMeta struct {
	LastSerial int64  `json:"_last-serial,omitempty"`
	APIVersion string `json:"api-version"`
}

type outStatus struct {
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
}

type outFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	Size           *int64            `json:"size,omitempty"`
	UploadTime     string            `json:"upload-time,omitempty"`
	RequiresPython string            `json:"requires-python,omitempty"`
	Yanked         any               `json:"yanked"`
	CoreMetadata   any               `json:"core-metadata"`
	DistInfo       any               `json:"data-dist-info-metadata"`
	Provenance     *string           `json:"provenance"`
}

// RenderJSON renders a project page as application/vnd.pypi.simple.v1+json. Only
// SHA-256 is given, as pip rejects a page whose hashes it does not know. Equal
// projects give equal bytes.
func (p *Project) RenderJSON(o RenderOptions) []byte {
	out := outProject{
		Meta: outMeta{p.LastSerial, apiVersion}, Name: p.Name, Status: outStatus{p.status(), p.StatusReason},
		Versions: append([]string{}, p.Versions...), Files: make([]outFile, 0, len(p.Files)),
	}
	for _, f := range p.Files {
		href, provenance := o.links(f)
		g := outFile{Filename: f.Filename, URL: href, Hashes: map[string]string{"sha256": f.SHA256}, RequiresPython: f.RequiresPython}
		if f.Size >= 0 {
			g.Size = &f.Size
		}
		if !f.UploadTime.IsZero() {
			g.UploadTime = f.UploadTime.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
		}
		g.Yanked = f.Yanked
		if f.Yanked && f.YankedReason != "" {
			g.Yanked = f.YankedReason
		}
		g.CoreMetadata = f.CoreMetadata.Available
		if f.CoreMetadata.Available && f.CoreMetadata.SHA256 != "" {
			g.CoreMetadata = map[string]string{"sha256": f.CoreMetadata.SHA256}
		}
		g.DistInfo = g.CoreMetadata
		if provenance != "" {
			g.Provenance = &provenance
		}
		out.Files = append(out.Files, g)
	}
	return marshal(out)
}

func (p *Project) status() Status {
	if p.Status == "" {
		return Active
	}
	return p.Status
}

// marshal cannot fail: there are only strings, numbers and booleans in what it is given.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("simpleindex: " + err.Error())
	}
	return b.Bytes()
}

// RenderHTML renders a project page as text/html, which is
// application/vnd.pypi.simple.v1+html byte for byte.
func (p *Project) RenderHTML(o RenderOptions) []byte {
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html>\n  <head>\n")
	meta := func(name, content string) {
		if content != "" {
			fmt.Fprintf(&b, "    <meta name=\"pypi:%s\" content=\"%s\">\n", name, html.EscapeString(content))
		}
	}
	meta("repository-version", apiVersion)
	meta("project-status", string(p.status()))
	meta("project-status-reason", p.StatusReason)
	title := "Links for " + html.EscapeString(p.Name)
	fmt.Fprintf(&b, "    <title>%s</title>\n  </head>\n  <body>\n    <h1>%s</h1>\n", title, title)
	for _, f := range p.Files {
		b.WriteString(f.anchor(o))
	}
	b.WriteString("  </body>\n</html>\n")
	writeSerial(&b, p.LastSerial)
	return b.Bytes()
}

func (f File) anchor(o RenderOptions) string {
	href, provenance := o.links(f)
	var b strings.Builder
	attribute := func(name, value string) {
		b.WriteString(" " + name + "=\"" + html.EscapeString(value) + "\"")
	}
	b.WriteString("    <a")
	attribute("href", href+"#sha256="+f.SHA256)
	if f.RequiresPython != "" {
		attribute("data-requires-python", f.RequiresPython)
	}
	if f.CoreMetadata.Available {
		value := "true"
		if f.CoreMetadata.SHA256 != "" {
			value = "sha256=" + f.CoreMetadata.SHA256
		}
		attribute("data-dist-info-metadata", value) // what pip before 23.1 and old mirrors read
		attribute("data-core-metadata", value)
	}
	if f.Yanked {
		attribute("data-yanked", f.YankedReason)
	}
	if provenance != "" {
		attribute("data-provenance", provenance)
	}
	b.WriteString(">" + html.EscapeString(f.Filename) + "</a><br>\n")
	return b.String()
}

func writeSerial(w io.Writer, serial int64) {
	if serial > 0 {
		fmt.Fprintf(w, "<!--SERIAL %d-->\n", serial)
	}
}

// RenderRootJSON streams the root page with the serial of every project and of
// the whole, so that a mirror of this mirror sees what changed. It keeps the
// order of projects. The error is w's.
func RenderRootJSON(w io.Writer, lastSerial int64, projects iter.Seq[RootProject]) error {
	b := bufio.NewWriterSize(w, 64<<10)
	b.WriteString(`{"meta":{`)
	if lastSerial > 0 {
		b.WriteString(`"_last-serial":` + strconv.FormatInt(lastSerial, 10) + `,`)
	}
	b.WriteString(`"api-version":"` + apiVersion + `"},"projects":[`)
	separator := "\n"
	for p := range projects {
		b.WriteString(separator + `{`)
		if p.LastSerial > 0 {
			b.WriteString(`"_last-serial":` + strconv.FormatInt(p.LastSerial, 10) + `,`)
		}
		name, _ := json.Marshal(p.Name)
		b.WriteString(`"name":`)
		b.Write(name)
		b.WriteString(`}`)
		separator = ",\n"
	}
	b.WriteString("\n]}\n")
	return b.Flush() // which returns the first error of all the writes
}

// RenderRootHTML streams the root page as text/html and v1+html. Links are
// normalised names, texts the names for display. The error is w's.
func RenderRootHTML(w io.Writer, lastSerial int64, projects iter.Seq[RootProject]) error {
	b := bufio.NewWriterSize(w, 64<<10)
	b.WriteString("<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"" + apiVersion +
		"\">\n    <title>Simple index</title>\n  </head>\n  <body>\n")
	for p := range projects {
		b.WriteString(`    <a href="` + html.EscapeString(Normalize(p.Name)) + `/">` + html.EscapeString(p.Name) + "</a><br>\n")
	}
	b.WriteString("  </body>\n</html>\n")
	writeSerial(b, lastSerial)
	return b.Flush()
}
