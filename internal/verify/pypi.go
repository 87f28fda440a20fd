package verify

import (
	"bytes"
	"context"
	"net/url"
	"path"
	"strings"

	"mirrorcycle/internal/manifest"
	"mirrorcycle/internal/simpleindex"
)

// anyHost stands for the region in the URLs of a page, which are relative.
const anyHost = "http://mirror.example.org/"

const maxPage = 1 << 30

// pypi checks the changed pages: every file and METADATA they name is there,
// the HTML links to the same files as the JSON, and the root lists every project page.
func (c *checker) pypi(ctx context.Context) error {
	for _, e := range c.indexes {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := path.Dir(e.Path)
		if path.Base(e.Path) != simpleindex.V1JSONName {
			continue
		}
		data, ok, err := c.read(e, maxPage)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if dir == "simple" {
			err = c.root(e, data)
		} else {
			err = c.page(e, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) page(e manifest.Entry, data []byte) error {
	return c.project(e, data, "", func(name string) (string, bool) { return name, true })
}

// project checks a page of the mirror below base; inside tells the manifest's
// path of a name, and refuses one that no page of the mirror may name.
func (c *checker) project(e manifest.Entry, data []byte, base string, inside func(name string) (string, bool)) error {
	dir := path.Dir(e.Path)
	p, err := simpleindex.ParseProject(data, path.Base(dir), anyHost+base+dir+"/")
	if err != nil {
		c.report.of(e.Path, "%s: %v", e.Path, err)
		return nil
	}
	for _, r := range p.Refused {
		c.report.of(e.Path, "%s: %v", e.Path, r.Err)
	}
	html, err := c.html(e, dir)
	if err != nil {
		return err
	}
	for _, f := range p.Files {
		object, local := below(f.URL)
		if local {
			object, local = inside(object)
		}
		if !local {
			c.report.of(e.Path, "%s names %s, which is not on the mirror", e.Path, f.URL)
			continue
		}
		if err := c.names(e.Path, object, f.Size, f.SHA256); err != nil {
			return err
		}
		if f.CoreMetadata.Available {
			if err := c.names(e.Path, object+".metadata", -1, f.CoreMetadata.SHA256); err != nil {
				return err
			}
		}
		html.expect(c, "#sha256="+f.SHA256, f.Filename)
	}
	return nil
}

// below returns the path below the region's root that a link leads to, as files
// are called on disk: not escaped.
func below(link string) (name string, ok bool) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme+"://"+u.Host+"/" != anyHost || u.RawQuery != "" {
		return "", false
	}
	return strings.TrimPrefix(u.Path, "/"), true
}

// html is the HTML form of a page. What it links to is looked for in the order
// of the JSON form, which costs one pass over a page of tens of megabytes.
type html struct {
	path string
	text []byte
	pos  int
}

// html reads the HTML form beside the JSON form e, and checks that both of its names have it.
func (c *checker) html(e manifest.Entry, dir string) (*html, error) {
	h := &html{path: dir + "/" + simpleindex.HTMLName}
	plain, ok, err := c.m.Lookup(h.path)
	if err != nil {
		return nil, err
	}
	if !ok {
		c.report.of(e.Path, "%s has no %s beside it", e.Path, simpleindex.HTMLName)
		h.path = ""
		return h, nil
	}
	v1, ok, err := c.m.Lookup(dir + "/" + simpleindex.V1HTMLName)
	if err != nil {
		return nil, err
	}
	if !ok || v1.Digest != plain.Digest {
		c.report.of(e.Path, "%s/%s is not %s", dir, simpleindex.V1HTMLName, h.path)
	}
	if h.text, ok, err = c.read(plain, maxPage); !ok {
		h.path = ""
	}
	return h, err
}

// expect reports a problem if link is not on the page.
func (h *html) expect(c *checker, link, name string) {
	if h.path == "" {
		return
	}
	if i := bytes.Index(h.text[h.pos:], []byte(link)); i >= 0 {
		h.pos += i
	} else if !bytes.Contains(h.text, []byte(link)) {
		c.report.of(h.path, "%s lacks %s", h.path, name)
	}
}

func (c *checker) root(e manifest.Entry, data []byte) error {
	html, err := c.html(e, "simple")
	if err != nil {
		return err
	}
	r := simpleindex.ReadRoot(bytes.NewReader(data))
	for p, err := range r.Projects() {
		if err != nil {
			c.report.problem("%s: %v", e.Path, err)
			return nil
		}
		name := simpleindex.Normalize(p.Name)
		if err := c.names(e.Path, simpleindex.ProjectPath(name)+"/"+simpleindex.V1JSONName, -1, ""); err != nil {
			return err
		}
		html.expect(c, `href="`+name+`/"`, name)
	}
	return nil
}
