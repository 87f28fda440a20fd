package pypi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorcycle/internal/pypi"
)

// TestSlowPageDelaysFewOthers holds the page of the ninth project back until the
// twenty-first is asked for.
func TestSlowPageDelaysFewOthers(t *testing.T) {
	s := newStage(t, nil)
	for i := range 24 {
		name := fmt.Sprintf("p%02d", i)
		s.set(name, s.wheel(name, "1"))
	}
	asked := make(chan struct{})
	var once sync.Once
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/") {
		case "p20":
			once.Do(func() { close(asked) })
		case "p08":
			select {
			case <-asked:
			case <-time.After(20 * time.Second): // the plan waits for the slowest
				t.Error("nothing far behind the slow page was asked for")
			}
		}
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	s.b.Sources = []string{front.URL}
	s.configure(func(c *pypi.Config) { c.Upstreams = []string{front.URL} })
	s.mustCycle(t)
	if got := len(s.listed()); got != 24 {
		t.Errorf("%d projects, want 24", got)
	}
}
