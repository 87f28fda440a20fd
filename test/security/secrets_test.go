package security_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/otlptest"
	"mirrorcycle/internal/reqsource/githubtest"
	"mirrorcycle/workflows"
)

// The secrets of this test. None may be seen anywhere but where it is read and where it is sent.
const (
	login    = "upstream-login-4f1d"
	password = "upstream-password-93ab"
	token    = "github-token-77c2"
	apiKey   = "temporal-key-5e08"
	hookPath = "/hook-path-b61e"
	inFile   = "file-secret-c3d9" // of requirement files
)

// secretive are requirements with a secret in each place where people put one:
// what an index can answer, and below it what cannot be followed or read.
const secretive = "nova # " + inFile + "\n--extra-index-url https://user:" + inFile + "@index.example.org/simple\n--index-url=https://" + inFile + "@index.example.org/\n" +
	"private @ git+https://user:" + inFile + "@git.example.org/private@v1\nsigned @ https://files.example.org/signed.zip?sig=" + inFile + "\n"

const unreadable = "nova\nother\nhttps://" + inFile + "@files.example.org/x.whl\nnova>=" + inFile + "\n"

// forms are how a secret may be written: as it is, and as Basic authentication has it.
func forms() []string {
	return []string{login, password, token, apiKey, hookPath[1:], inFile, base64.StdEncoding.EncodeToString([]byte(login + ":" + password)),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(password)), "=")}
}

// echo refuses a request with all that it holds, as careless servers do.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-You-Sent", r.Header.Get("Authorization"))
	w.WriteHeader(http.StatusUnauthorized)
	_ = r.Header.Write(w) // whoever asks may have gone
}

// guard lets only those pass who have the netrc's login, and none while it is shut.
type guard struct {
	next http.Handler
	shut atomic.Bool
	let  atomic.Int64
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, pass, _ := r.BasicAuth(); g.shut.Load() || user != login || pass != password {
		echo(w, r)
		return
	}
	g.let.Add(1)
	g.next.ServeHTTP(w, r)
}

// TestSecretsAreNowhere has cycles fail and succeed with every kind of secret
// in use, upstreams that send them back, and a webhook that fails, and looks for
// the secrets in all that is kept and said.
func TestSecretsAreNowhere(t *testing.T) {
	u, hub := lab.NewUpstream(t), githubtest.New(t)
	u.Debs(lab.Deb("alpha", "1"))
	u.Project("nova", "1.0")
	hub.NeedToken(token)
	hub.Push("master", map[string]string{"global-requirements.txt": secretive, "upper-constraints.txt": "nova===1.0\n"})
	hub.Answer(echo)
	g := &guard{next: u}
	g.shut.Store(true)
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	told := &hook{}
	hook := httptest.NewServer(told)
	t.Cleanup(hook.Close)
	keep := t.TempDir()
	netrc, urlFile := filepath.Join(keep, "netrc"), filepath.Join(keep, "webhook")
	wanted := filepath.Join(keep, "requirements.txt")
	for file, text := range map[string]string{wanted: unreadable, netrc: "machine 127.0.0.1 login " + login + " password " + password + "\n", urlFile: hook.URL + hookPath + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mirrors := strings.ReplaceAll(u.AptMirror("debian", "1h")+"netrc = \""+netrc+"\"\n"+u.PyPIMirror("pypi", "1h")+"netrc = \""+netrc+"\"\nrequirements = [\""+wanted+"\"]\n", u.URL, s.URL) +
		"[[mirror]]\nname = \"wheels\"\nkind = \"wheels\"\nindex = \"pypi\"\ngithub = \"openstack/requirements\"\nrefs = [\"master\"]\nrequirements = \"global-requirements.txt\"\nconstraints = \"upper-constraints.txt\"\n" +
		"platforms = [{ name = \"none-anywhere\", root = \"/srv/none\", python = \"3.11\" }]\n[notify]\nurl-file = \"" + urlFile + "\"\n"
	h := lab.New(t, lab.Options{Regions: []string{"here"}, Mirrors: mirrors, NoWork: true, Window: "8s"})
	spans := otlptest.New(t)
	metrics := lab.FreeAddress(t)
	env := append(front(t, h.Address, apiKey), "OTEL_EXPORTER_OTLP_ENDPOINT="+spans.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_TRACES_EXPORTER=otlp", "GITHUB_TOKEN="+token, "GITHUB_API_URL="+hub.URL, "MIRRORCYCLE_SPEC="+filepath.Join(h.Dir, "mirrors.toml"))
	worker := start(t, env, "worker", "--roles", "cycle,sync:"+h.Spec.Storage.Name, "--log-level", "debug", "--metrics", metrics)
	said := map[string]string{}
	failed, code := run(t, env, "starter", "run")
	said["the failing cycle"] = failed
	if code == 0 {
		t.Errorf("the cycle ended well although upstream was shut:\n%s", failed)
	}
	g.shut.Store(false)
	said["the next cycle"], _ = run(t, env, "starter", "run") // the wheels have no build worker, so it may be partial
	said["its JSON"], _ = run(t, env, "starter", "run", "--json")
	said["status"], _ = run(t, env, "starter", "status")
	said["doctor"], _ = run(t, env, "starter", "doctor")
	if err := h.Client.GetWorkflow(t.Context(), workflows.NotifyID(h.Spec.Cycle.Name), "").Get(t.Context(), nil); err != nil {
		t.Log("the webhook's workflow:", err)
	}
	said["the metrics"] = scrape(t, "http://"+metrics+"/metrics")
	worker.End(syscall.SIGTERM)
	said["the worker"], said["the spans"] = worker.String(), fmt.Sprint(spans.Spans())
	if len(said["the spans"]) < 1000 || len(said["the metrics"]) < 1000 || !strings.Contains(said["the next cycle"]+said["its JSON"], "requirements.txt:3") {
		t.Errorf("nothing was looked at: %s\n%s\n%s", said["the spans"], said["the metrics"], said["its JSON"])
	}
	asked := strings.Join(hub.Requests(), "\n") + "\n"
	if h.Status("here", "/debian/dists/stable/InRelease") != http.StatusOK || g.let.Load() == 0 || told.count() == 0 || !strings.Contains(asked, " 401\n") || !strings.Contains(asked, " 200\n") {
		t.Errorf("a secret was not used: let %d, told %d, GitHub %v\n%s", g.let.Load(), told.count(), asked, said["the next cycle"])
	}
	for what, text := range said {
		clean(t, what, []byte(text))
	}
	files(t, h.Dir)
	histories(t, h.Client)
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hook is a webhook that fails at first, and sends back what it was sent.
type hook struct {
	mu sync.Mutex
	n  int
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.URL.Path != hookPath {
		return
	}
	if h.n++; h.n == 1 {
		http.Error(w, "no such hook: "+r.URL.String(), http.StatusServiceUnavailable)
	}
}

func clean(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, secret := range forms() {
		if i := bytes.Index(data, []byte(secret)); i >= 0 {
			t.Errorf("%s has %q: …%q…", where, secret, data[max(0, i-200):min(len(data), i+100)])
		}
	}
}

func files(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		clean(t, "the name of a file", []byte(p))
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(p)
		clean(t, p, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// histories looks into every event of every workflow of the server. Payloads
// are JSON that is neither compressed nor encrypted, so that the bytes of an event show them.
func histories(t *testing.T, c client.Client) {
	t.Helper()
	runs, events := 0, 0
	var next []byte
	for {
		page, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{NextPageToken: next})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range page.Executions {
			runs++
			clean(t, "the list of workflows", marshal(t, w))
			it := c.GetWorkflowHistory(t.Context(), w.Execution.WorkflowId, w.Execution.RunId, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for it.HasNext() {
				e, err := it.Next()
				if err != nil {
					t.Fatal(err)
				}
				events++
				clean(t, w.Execution.WorkflowId+" "+e.EventType.String(), marshal(t, e))
			}
		}
		if next = page.NextPageToken; len(next) == 0 {
			break
		}
	}
	if runs < 6 || events < 100 {
		t.Errorf("only %d runs with %d events were looked at", runs, events)
	}
	t.Logf("%d runs, %d events", runs, events)
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSpecRefusesSecrets: a URL with credentials is refused, with its place and without them.
func TestSpecRefusesSecrets(t *testing.T) {
	u := lab.NewUpstream(t)
	text := "[storage]\nname = \"main\"\nroot = \"/srv/t\"\nstate = \"/srv/s\"\n" +
		strings.ReplaceAll(u.AptMirror("debian", "1h"), "http://", "http://"+login+":"+password+"@")
	file := filepath.Join(t.TempDir(), "mirrors.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, nil, "starter", "validate", file)
	clean(t, "validate", []byte(out))
	if code != 2 || !strings.Contains(out, "mirrors.toml:8:") || !strings.Contains(out, "netrc") {
		t.Errorf("it ended with %d:\n%s", code, out)
	}
}
