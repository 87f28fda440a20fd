package simpleindex

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"mirrorcycle/internal/fault"
)

// IsHTML reports whether a page is HTML, whatever its Content-Type says.
func IsHTML(data []byte) bool {
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(data) > 0 && data[0] == '<'
}

// document is what a page of an index says in HTML (PEP 503 and those after it).
type document struct {
	base   *url.URL
	meta   map[string]string // values of "pypi:…"
	title  string
	serial int64
	links  []link
}

type link struct {
	attributes map[string]string
	text       string
}

var serialComment = regexp.MustCompile(`^\s*SERIAL\s+(\d+)\s*$`)

// readHTML takes the links out of a page. One that is cut short is refused.
func readHTML(data []byte, pageURL string) (*document, error) {
	base, err := url.Parse(pageURL)
	if err != nil {
		return nil, err
	}
	d := &document{base: base, meta: map[string]string{}}
	tokens := html.NewTokenizer(bytes.NewReader(data))
	opened, ended := false, false
	into := (*string)(nil) // where text belongs
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			if opened && !ended {
				return nil, io.ErrUnexpectedEOF
			}
			return d, d.version()
		case html.CommentToken:
			if m := serialComment.FindSubmatch(tokens.Text()); m != nil {
				d.serial = SerialOf(string(m[1]))
			}
		case html.TextToken:
			if into != nil {
				*into += string(tokens.Text())
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			ended, into = ended || string(name) == "html", nil
		case html.StartTagToken, html.SelfClosingTagToken:
			name, attributes := tag(tokens)
			opened = opened || name == "html"
			into = d.start(name, attributes)
		}
	}
}

func tag(tokens *html.Tokenizer) (name string, attributes map[string]string) {
	raw, more := tokens.TagName()
	name, attributes = string(raw), map[string]string{}
	for more {
		var key, value []byte
		key, value, more = tokens.TagAttr()
		attributes[string(key)] = string(value)
	}
	return name, attributes
}

func (d *document) start(name string, attributes map[string]string) (into *string) {
	switch name {
	case "base":
		if to, err := d.base.Parse(attributes["href"]); err == nil && attributes["href"] != "" {
			d.base = to
		}
	case "meta":
		if key, ok := strings.CutPrefix(attributes["name"], "pypi:"); ok {
			d.meta[key] = attributes["content"]
		}
	case "title":
		return &d.title
	case "a":
		if attributes["href"] != "" {
			d.links = append(d.links, link{attributes: attributes})
			return &d.links[len(d.links)-1].text
		}
	}
	return nil
}

// version accepts version 1 of the format, and pages that name none (PEP 629).
func (d *document) version() error {
	if v := d.meta["repository-version"]; v != "" {
		return checkVersion(v)
	}
	return nil
}

// index reports whether the page says that it is one of an index, so that a
// page without links is not taken for an empty project.
func (d *document) index() bool {
	title := strings.ToLower(strings.TrimSpace(d.title))
	return d.meta["repository-version"] != "" || strings.HasPrefix(title, "links for") || strings.HasPrefix(title, "simple index")
}

var errNoIndex = errors.New("HTML that is no page of a package index: does a portal or proxy answer in upstream's place?")

// archives are the endings of files that installers look at.
var archives = []string{".whl", ".egg", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar", ".exe", ".msi", ".rpm", ".dmg", ".deb"}

func isArchive(name string) bool {
	for _, suffix := range archives {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// parseHTML reads a project page in HTML. Files are the links to archives, as
// pip sees it; their digests stand in the URLs' fragments.
func parseHTML(data []byte, name, pageURL string) (*Project, error) {
	d, err := readHTML(data, pageURL)
	if err != nil {
		return nil, fmt.Errorf("HTML: %w", err)
	}
	p := &Project{Name: Normalize(name), Status: Active, LastSerial: d.serial, Files: []File{}, HTML: true}
	if status := d.meta["project-status"]; status != "" {
		p.Status, p.StatusReason = Status(status), d.meta["project-status-reason"]
	}
	list := newListing(p)
	for _, l := range d.links {
		to, err := d.base.Parse(strings.TrimSpace(l.attributes["href"]))
		if err != nil || !isArchive(path.Base(to.Path)) {
			continue
		}
		list.add(l.file(to))
	}
	list.end()
	if len(d.links) == 0 && !d.index() || len(d.links) > 0 && len(p.Files)+len(p.Refused) == 0 && !d.index() {
		return nil, errNoIndex
	}
	return p, nil
}

func (l link) file(to *url.URL) (File, error) {
	f := File{Filename: path.Base(to.Path), Size: -1, RequiresPython: l.attributes["data-requires-python"]}
	if err := checkFilename(f.Filename); err != nil {
		return f, err
	}
	for part := range strings.SplitSeq(to.Fragment, "&") {
		algorithm, digest, ok := strings.Cut(part, "=")
		switch {
		case !ok:
		case algorithm == "sha256":
			f.SHA256 = strings.ToLower(digest)
		case algorithm == "md5" || strings.HasPrefix(algorithm, "sha"):
			if f.Hashes == nil {
				f.Hashes = map[string]string{}
			}
			f.Hashes[algorithm] = digest
		}
	}
	var err error
	if f.URL, err = resolve(to, to.String()); err != nil {
		return f, err
	}
	f.YankedReason, f.Yanked = l.attributes["data-yanked"]
	metadata, ok := l.attributes["data-core-metadata"]
	if !ok {
		metadata = l.attributes["data-dist-info-metadata"]
	}
	if digest, ok := strings.CutPrefix(metadata, "sha256="); ok && validSHA256(digest) {
		f.CoreMetadata = CoreMetadata{Available: true, SHA256: digest}
	} else if metadata == "true" {
		f.CoreMetadata.Available = true
	}
	return f, f.proved()
}

// ReadRootHTML lists the projects of a root page in HTML: the links to what lies
// directly below it. There are no serials of projects; last is that of the whole
// if the page has one. A page that is cut short, or is no index, is
// fault.Malformed.
func ReadRootHTML(data []byte, pageURL string) (projects []RootProject, last int64, err error) {
	d, err := readHTML(data, pageURL)
	if err == nil {
		projects = d.projects()
		if len(projects) == 0 && !d.index() {
			if err = errNoIndex; d.archives() > 0 {
				err = fmt.Errorf("%d files in a plain directory, which has no page per project and no digests: serve it by a package index, or write pages with #sha256= fragments", d.archives())
			}
		}
	}
	if err != nil {
		return nil, 0, &fault.Error{Kind: fault.Malformed, Op: "simpleindex: read root", Subject: pageURL, Err: err}
	}
	return projects, d.serial, nil
}

// archives counts the links to files of packages.
func (d *document) archives() (n int) {
	for _, l := range d.links {
		if to, err := d.base.Parse(strings.TrimSpace(l.attributes["href"])); err == nil && isArchive(path.Base(to.Path)) {
			n++
		}
	}
	return n
}

func (d *document) projects() (out []RootProject) {
	here := d.base.Path[:strings.LastIndexByte(d.base.Path, '/')+1]
	for _, l := range d.links {
		to, err := d.base.Parse(strings.TrimSpace(l.attributes["href"]))
		if err != nil {
			continue
		}
		dir, name := path.Split(strings.TrimRight(to.Path, "/"))
		if to.Host == d.base.Host && dir != here || to.RawQuery != "" || !ValidName(name) || isArchive(name) {
			continue
		}
		if text := strings.Trim(l.text, " \t\r\n/"); Normalize(text) == Normalize(name) && ValidName(text) {
			name = text
		}
		out = append(out, RootProject{Name: name})
	}
	return out
}
