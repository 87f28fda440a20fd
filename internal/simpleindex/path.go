package simpleindex

import (
	"net/url"
	"strings"
)

// ObjectPath returns where a file lives below a mirror's root. A URL that ends in
// upstream's own layout, /packages/<2>/<2>/<60>/<filename> with a digest in
// hexadecimal, keeps it; any other file gets the same form from its SHA-256, so
// that a path never changes its content. sha256 must be a whole digest, as
// ParseProject makes sure.
func ObjectPath(fileURL, sha256, filename string) string {
	if u, err := url.Parse(fileURL); err == nil {
		parts := strings.Split(u.Path, "/")
		if n := len(parts); n >= 5 && parts[n-5] == "packages" && parts[n-1] == filename {
			digest := parts[n-4] + parts[n-3] + parts[n-2]
			if len(parts[n-4]) == 2 && len(parts[n-3]) == 2 && validSHA256(digest) {
				return strings.Join(parts[n-5:], "/")
			}
		}
	}
	return "packages/" + sha256[:2] + "/" + sha256[2:4] + "/" + sha256[4:] + "/" + filename
}

// ProjectPath returns the directory of a project's pages below a mirror's root.
func ProjectPath(name string) string { return "simple/" + Normalize(name) }

// The names of a page in its three forms. A web server picks one by the Accept
// header; clients of file: URLs read the first.
const (
	HTMLName   = "index.html"
	V1HTMLName = "index.v1_html"
	V1JSONName = "index.v1_json"
)

// Media types of the forms (PEP 691). pip finds no version on a page of any other type.
const (
	MediaHTML   = "text/html"
	MediaV1HTML = "application/vnd.pypi.simple.v1+html"
	MediaV1JSON = "application/vnd.pypi.simple.v1+json"
)
