package enginetest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Wheel makes a wheel of one module whose parts agree; tags are as in
// "py3-none-any". The same arguments make the same bytes.
func Wheel(name, version, tags string, more ...string) (file string, data []byte) {
	dist := strings.ReplaceAll(name, "-", "_")
	base := dist + "-" + version
	files := map[string]string{
		base + ".dist-info/METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\nRequires-Python: >=3.8\n",
		base + ".dist-info/WHEEL": fmt.Sprintf("Wheel-Version: 1.0\nGenerator: enginetest\nRoot-Is-Purelib: %v\nTag: %s\n",
			strings.HasSuffix(tags, "-any"), tags),
		dist + ".py": "version = '" + version + "' # for " + tags + "\n",
	}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	var record, out bytes.Buffer
	z := zip.NewWriter(&out)
	put := func(n, content string) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: n}) // stored as it is
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			panic(err) // writing to memory
		}
	}
	for _, n := range slices.Sorted(maps.Keys(files)) {
		put(n, files[n])
		d := sha256.Sum256([]byte(files[n]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(d[:]), len(files[n]))
	}
	fmt.Fprintf(&record, "%s.dist-info/RECORD,,\n", base)
	put(base+".dist-info/RECORD", record.String())
	if err := z.Close(); err != nil {
		panic(err)
	}
	return base + "-" + tags + ".whl", out.Bytes()
}
