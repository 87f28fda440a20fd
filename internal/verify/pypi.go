package verify

import (
	"bytes"
	"context"
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
		data, err := c.read(e, maxPage)
		if err != nil {
			return err
		}
		if dir == "simple" {
			err = c.root(e, data)
		} else {
			err = c.page(e, dir, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) page(e manifest.Entry, dir string, data []byte) error {
	p, err := simpleindex.ParseProject(data, path.Base(dir), anyHost+dir+"/")
	if err != nil {
		c.report.problem("%s: %v", e.Path, err)
		return nil
	}
	html, ok, err := c.m.Lookup(dir + "/" + simpleindex.HTMLName)
	if err != nil {
		return err
	}
	var text []byte
	if !ok {
		c.report.problem("%s has no %s beside it", e.Path, simpleindex.HTMLName)
	} else if text, err = c.read(html, maxPage); err != nil {
		return err
	}
	for _, f := range p.Files {
		object, local := strings.CutPrefix(f.URL, anyHost)
		if !local {
			c.report.problem("%s names %s, which is not on the mirror", e.Path, f.URL)
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
		if ok && !bytes.Contains(text, []byte("#sha256="+f.SHA256)) {
			c.report.problem("%s lacks %s", html.Path, f.Filename)
		}
	}
	return nil
}

func (c *checker) root(e manifest.Entry, data []byte) error {
	r := simpleindex.ReadRoot(bytes.NewReader(data))
	for p, err := range r.Projects() {
		if err != nil {
			c.report.problem("%s: %v", e.Path, err)
			return nil
		}
		if err := c.names(e.Path, simpleindex.ProjectPath(simpleindex.Normalize(p.Name))+"/"+simpleindex.V1JSONName, -1, ""); err != nil {
			return err
		}
	}
	return nil
}
