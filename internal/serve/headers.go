package serve

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"mirrorcycle/internal/simpleindex"
)

// types of files by suffix. What is compressed is named as such: were it a
// Content-Encoding, clients would unpack it and find the digest wrong.
var types = map[string]string{
	".html":     "text/html; charset=utf-8",
	".v1_html":  simpleindex.MediaV1HTML,
	".v1_json":  simpleindex.MediaV1JSON,
	".json":     "application/json",
	".metadata": "text/plain; charset=utf-8",
	".xml":      "application/xml",
	".asc":      "text/plain; charset=utf-8",
	".log":      "text/plain; charset=utf-8",
	".deb":      "application/vnd.debian.binary-package",
	".udeb":     "application/vnd.debian.binary-package",
	".rpm":      "application/x-rpm",
	".gz":       "application/gzip",
	".xz":       "application/x-xz",
	".bz2":      "application/x-bzip2",
	".zst":      "application/zstd",
	".zip":      "application/zip",
}

// plain are the indexes without suffix that people look at in a browser.
var plain = map[string]bool{"InRelease": true, "Release": true, "Release.gpg": true, "Packages": true, "Sources": true}

// contentType is by what a file is for: HTML are the pages of a simple index
// alone, and never what a package or an archive brings along.
func (p place) contentType(name string) string {
	if strings.EqualFold(path.Ext(name), ".html") && !(p.isPage() && name == simpleindex.HTMLName) {
		return "application/octet-stream"
	}
	if t, ok := types[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	if plain[name] {
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// etag is strong: published files are never written to, so the same inode, size
// and time of writing are the same bytes. The forms of an index may be links to
// one file and are yet told apart by their suffix.
func etag(info fs.FileInfo, name string) string {
	var inode uint64
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = s.Ino
	}
	form := ""
	if strings.HasPrefix(name, "index.") {
		form = "-" + strings.TrimPrefix(name, "index.")
	}
	return fmt.Sprintf(`"%x-%x-%x%s"`, inode, info.Size(), info.ModTime().UnixNano(), form)
}
