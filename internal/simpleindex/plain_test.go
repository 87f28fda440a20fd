package simpleindex_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/simpleindex"
)

// TestAPlainDirectoryIsRefused: what a web server lists of a directory of files, as
// pip download fills one, is no index, and the error says what to do.
func TestAPlainDirectoryIsRefused(t *testing.T) {
	files := fstest.MapFS{"nova-1.0-py3-none-any.whl": {Data: []byte("x")}, "oslo.config-2.0.tar.gz": {Data: []byte("y")}}
	w := httptest.NewRecorder()
	http.FileServerFS(files).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	_, _, err := simpleindex.ReadRootHTML(w.Body.Bytes(), "http://index.example.org/")
	if !errors.Is(err, fault.Malformed) || !strings.Contains(err.Error(), "2 files in a plain directory") || !strings.Contains(err.Error(), "#sha256=") {
		t.Error(err)
	}
}
