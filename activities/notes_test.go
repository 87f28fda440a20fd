package activities_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mirrorcycle/activities"
)

// TestNotesOfAPlanWithoutChangesAreFew: where a root page is to be had and none
// of the projects' is, every one of them has a note, and nothing else is new.
func TestNotesOfAPlanWithoutChangesAreFew(t *testing.T) {
	projects := make([]map[string]any, 3000)
	for i := range projects {
		projects[i] = map[string]any{"name": fmt.Sprint("project-", i), "_last-serial": i + 1}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/simple/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]any{"api-version": "1.1", "_last-serial": 3000}, "projects": projects})
	}))
	t.Cleanup(srv.Close)
	p := openPlant(t, srv.URL)
	var planned activities.Planned
	p.do(p.sync.Plan, activities.PlanInput{Target: p.target, Epoch: p.opened.Epoch}, &planned)
	data, err := json.Marshal(planned)
	if err != nil {
		t.Fatal(err)
	}
	if planned.Digest != "" || len(planned.Info.Deferred) == 0 || len(data) > 256<<10 {
		t.Errorf("plan %q with %d notes, %d bytes", planned.Digest, len(planned.Info.Deferred), len(data))
	}
}
