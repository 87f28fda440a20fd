package rpmrepo

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Image is a file of a kickstart tree.
type Image struct {
	Path     string
	Checksum Checksum // zero if .treeinfo gives none
}

// maxImages bounds the files of a kickstart tree; real ones have about ten.
const maxImages = 1000

// ParseTreeinfo returns the files that a .treeinfo names, in its order:
// those of [checksums], and of the sections images-* and stage2 whose values
// are paths. Files without a checksum come last, as nothing proves them.
// A checksum of a repository's own repomd.xml is left out, because
// upstreams change that file without the tree.
func ParseTreeinfo(data []byte) ([]Image, error) {
	var proved, others []Image
	seen := map[string]bool{}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case section == "checksums" && strings.HasSuffix(key, "repodata/repomd.xml"):
		case section == "checksums":
			sum, err := ReadChecksum(value)
			if err != nil {
				return nil, malformed(".treeinfo", fmt.Errorf("%.100q: %w", key, err))
			}
			if !seen[key] {
				proved, seen[key] = append(proved, Image{key, sum}), true
			}
		case strings.HasPrefix(section, "images-"), section == "stage2":
			others = append(others, Image{Path: value})
		}
		if len(proved)+len(others) > maxImages {
			return nil, hostile(".treeinfo", "it names more than %d files", maxImages)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, malformed(".treeinfo", err)
	}
	for _, i := range others {
		if i.Path != "" && !seen[i.Path] {
			proved, seen[i.Path] = append(proved, i), true
		}
	}
	return proved, nil
}
