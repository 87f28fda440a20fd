package reqsource_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/reqsource"
	"mirrorcycle/internal/reqsource/githubtest"
	"mirrorcycle/internal/requirements"
)

const (
	global = "alpha>=1\nbeta # MIT\n"
	upper  = "alpha===1.5\nBeta===2.0;python_version>='3.9'\ngamma===3\n"
)

// room is a source with a clock that only its pauses move.
type room struct {
	gh     *githubtest.Server
	cfg    reqsource.Config
	env    map[string]string
	now    time.Time
	pauses []time.Duration
}

func newRoom(t *testing.T) *room {
	t.Helper()
	m := &room{gh: githubtest.New(t), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	m.gh.Clock(func() time.Time { return m.now })
	m.env = map[string]string{"GITHUB_API_URL": m.gh.URL}
	m.cfg = reqsource.Config{GitHub: "openstack/requirements", Refs: []string{"master", "stable/2026.1"}, Requirements: "global-requirements.txt",
		Constraints: "upper-constraints.txt", State: t.TempDir(), Environments: map[string]requirements.Environment{"debian-12-x86_64": requirements.Linux("3.11", "")},
		Now: func() time.Time { return m.now }, Getenv: func(name string) string { return m.env[name] },
		Wait: func(ctx context.Context, d time.Duration) error {
			m.pauses = append(m.pauses, d)
			m.now = m.now.Add(d)
			return ctx.Err()
		}}
	m.push("master", upper)
	m.push("stable/2026.1", strings.Replace(upper, "1.5", "1.4", 1))
	return m
}

func (m *room) push(ref, upper string) {
	m.gh.Push(ref, map[string]string{"global-requirements.txt": global, "upper-constraints.txt": upper})
}

// bring makes a source anew, as another worker would.
func (m *room) bring(t *testing.T) (reqsource.Outcome, error) {
	t.Helper()
	m.pauses = nil
	s, err := reqsource.New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s.Bring(t.Context())
}

func (m *room) must(t *testing.T) reqsource.Outcome {
	t.Helper()
	out, err := m.bring(t)
	if err != nil || len(out.Stale) > 0 {
		t.Fatal(out, err)
	}
	return out
}

func (m *room) pins(t *testing.T) []string {
	t.Helper()
	w, err := reqsource.Wanted(m.cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range w.Platforms["debian-12-x86_64"] {
		all = append(all, p.Name+" "+p.Version)
	}
	return all
}

func TestRefsBecomePins(t *testing.T) {
	m := newRoom(t)
	out := m.must(t)
	if !out.Changed || out.Pins != 3 || len(out.Digest) != 64 {
		t.Errorf("outcome %+v", out)
	}
	if diff := cmp.Diff([]string{"alpha 1.4", "alpha 1.5", "beta 2.0"}, m.pins(t)); diff != "" {
		t.Error(diff)
	}
	m.gh.Requests()

	again := m.must(t)
	if again.Changed || again.Digest != out.Digest {
		t.Errorf("a quiet cycle: %+v", again)
	}
	const repo = "repos/openstack/requirements/"
	if diff := cmp.Diff([]string{"GET " + repo + "commits/master 304", "GET " + repo + "commits/stable%2F2026.1 304"}, m.gh.Requests()); diff != "" {
		t.Error("a quiet cycle asks once per ref:", diff)
	}

	m.push("master", strings.Replace(upper, "1.5", "1.6", 1))
	if out := m.must(t); !out.Changed {
		t.Errorf("a new commit: %+v", out)
	}
	if diff := cmp.Diff([]string{"alpha 1.4", "alpha 1.6", "beta 2.0"}, m.pins(t)); diff != "" {
		t.Error(diff)
	}
	if n := len(m.gh.Requests()); n != 4 {
		t.Errorf("%d requests for one new commit", n)
	}
	texts, err := os.ReadDir(filepath.Join(m.cfg.State, "requirements", "text"))
	if err != nil || len(texts) != 3 {
		t.Errorf("%d texts are kept, %v", len(texts), err)
	}
}

func TestRefsThatShareACommitReadItOnce(t *testing.T) {
	m := newRoom(t)
	commit := m.gh.Push("master", map[string]string{"global-requirements.txt": global, "upper-constraints.txt": upper})
	m.gh.Point("stable/2026.1", commit)
	m.must(t)
	if n := len(m.gh.Requests()); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestLargeFilesComeAsBlobs(t *testing.T) {
	m := newRoom(t)
	m.cfg.Refs = m.cfg.Refs[:1]
	m.push("master", upper+strings.Repeat("# filling\n", 200_000))
	m.must(t)
	asked := strings.Join(m.gh.Requests(), "\n")
	if !strings.Contains(asked, "git/blobs/") || len(m.pins(t)) != 2 {
		t.Errorf("asked %s for %v", asked, m.pins(t))
	}
}

// TestMoods lets GitHub answer with everything but what is asked for, after one good cycle.
func TestMoods(t *testing.T) {
	date := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	const minute, second = time.Minute, time.Second
	broken := githubtest.Status(502)
	for _, c := range []struct {
		name   string
		mood   func(*githubtest.Server)
		pauses []time.Duration
		stale  string // "" if the answer comes in the end
	}{
		{"secondary limit with 403", func(s *githubtest.Server) { s.Answer(githubtest.Secondary(403, "17")) }, []time.Duration{17 * second}, ""},
		{"secondary limit with 429", func(s *githubtest.Server) { s.Answer(githubtest.Secondary(429, "3"), githubtest.Secondary(429, "5")) }, []time.Duration{3 * second, 5 * second}, ""},
		{"secondary limit without a time", func(s *githubtest.Server) { s.Answer(githubtest.Secondary(429, "")) }, []time.Duration{minute}, ""},
		{"403 of a secondary limit without a time", func(s *githubtest.Server) { s.Answer(githubtest.Secondary(403, "")) }, []time.Duration{minute}, ""},
		{"secondary limit for long", func(s *githubtest.Server) { s.Answer(githubtest.Secondary(403, "3600")) }, nil, "until 2030-01-02T04:04:05Z"},
		{"primary limit, reset soon", func(s *githubtest.Server) { s.Limit(0, date.Add(30*second)) }, []time.Duration{31 * second}, ""},
		{"primary limit, reset late", func(s *githubtest.Server) { s.Limit(0, date.Add(40*minute)) }, nil, "until 2030-01-02T03:44:06Z"},
		{"5xx that pass", func(s *githubtest.Server) { s.Answer(broken, broken) }, []time.Duration{2 * second, 4 * second}, ""},
		{"5xx that stay", func(s *githubtest.Server) { s.Answer(broken, broken, broken, broken) }, []time.Duration{2 * second, 4 * second, 8 * second}, "unavailable"},
		{"401", func(s *githubtest.Server) { s.Answer(githubtest.Status(401)) }, nil, "denied"},
		{"403 that is no limit", func(s *githubtest.Server) { s.Answer(githubtest.Status(403)) }, nil, "denied"},
		{"404", func(s *githubtest.Server) { s.Answer(githubtest.Status(404)) }, nil, "gone"},
		{"content that is not the blob it is said to be", func(s *githubtest.Server) {
			s.Answer(nil, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"type":"file","sha":"0000000000000000000000000000000000000000","size":7,"encoding":"base64","content":"YWxwaGE9\nMQ=="}`))
			})
		}, nil, "unproved"},
		{"a directory", func(s *githubtest.Server) {
			s.Answer(nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"type":"file"}]`)) })
		}, nil, "it is a directory"},
		{"captive portal", func(s *githubtest.Server) {
			s.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!DOCTYPE html><p>Log in")) })
		}, nil, "is no commit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newRoom(t)
			m.must(t)
			before := m.pins(t)
			m.push("master", strings.Replace(upper, "1.5", "1.6", 1))
			m.gh.Requests()
			c.mood(m.gh)
			out, err := m.bring(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.pauses, m.pauses); diff != "" {
				t.Error("pauses:", diff)
			}
			if c.stale == "" {
				if len(out.Stale) > 0 || !out.Changed {
					t.Errorf("outcome %+v", out)
				}
				return
			}
			if len(out.Stale) == 0 || !strings.Contains(out.Stale[0], c.stale) || !strings.Contains(out.Stale[0], "master stays at commit") {
				t.Errorf("stale %q", out.Stale)
			}
			if diff := cmp.Diff(before, m.pins(t)); diff != "" || out.Changed || out.Pins != 3 {
				t.Error("the last answer is not kept:", diff)
			}
			m.now = m.now.Add(2 * time.Hour)
			if out := m.must(t); !out.Changed {
				t.Error("healed, but not changed")
			}
		})
	}
}

// TestLimitHoldsAcrossCycles: whoever comes before the time that the server named asks nothing.
func TestLimitHoldsAcrossCycles(t *testing.T) {
	m := newRoom(t)
	m.must(t)
	m.gh.Limit(0, m.now.Add(time.Hour))
	_, _ = m.bring(t)
	m.gh.Requests()
	m.now = m.now.Add(30 * time.Minute)
	out, err := m.bring(t)
	if err != nil || len(out.Stale) != 2 || len(m.gh.Requests()) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	m.now = m.now.Add(31 * time.Minute)
	m.must(t)
}

// TestResetIsCountedByTheServersClock: a worker whose clock is off by minutes waits no longer.
func TestResetIsCountedByTheServersClock(t *testing.T) {
	m := newRoom(t)
	server := m.now.Add(-10 * time.Minute)
	m.gh.Clock(func() time.Time { return server.Add(m.now.Sub(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))) })
	m.gh.Limit(0, server.Add(20*time.Second))
	m.must(t)
	if diff := cmp.Diff([]time.Duration{21 * time.Second}, m.pauses); diff != "" {
		t.Error(diff)
	}
}

func TestMovedRepositoryIsFollowedAndSaid(t *testing.T) {
	m := newRoom(t)
	m.gh.Move()
	out, err := m.bring(t)
	if err != nil || out.Pins != 3 || len(out.Stale) != 1 || !strings.Contains(out.Stale[0], "answers from /api/v3/repositories/4711: write the new one") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestOneMissingRefDelaysNoOther(t *testing.T) {
	m := newRoom(t)
	m.cfg.Refs = append(m.cfg.Refs, "stable/none")
	out, err := m.bring(t)
	if err != nil || out.Pins != 3 || len(out.Stale) != 1 || !strings.Contains(out.Stale[0], "stable/none is not known yet") || !strings.Contains(out.Stale[0], "gone") {
		t.Errorf("%+v, %v", out, err)
	}
	m.gh.Point("master", "") // one that was there stays as it was
	out, err = m.bring(t)
	if err != nil || out.Pins != 3 || len(out.Stale) != 2 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestNothingKnownAtAll(t *testing.T) {
	m := newRoom(t)
	m.cfg.GitHub = "openstack/nothing"
	_, err := m.bring(t)
	if !errors.Is(err, fault.Gone) || !strings.Contains(err.Error(), "openstack/nothing") {
		t.Error(err)
	}
	if w, err := reqsource.Wanted(m.cfg.State); err != nil || w.Digest != "" {
		t.Error(w, err)
	}
}

func TestTextsThatAreNoneKeepTheLastOnes(t *testing.T) {
	for name, text := range map[string]string{"emptied": "# nothing\n", "a web page": "<!DOCTYPE html>\n<p>\n", "binary": "a\x00"} {
		m := newRoom(t)
		m.must(t)
		m.push("master", text)
		out, err := m.bring(t)
		if err != nil || out.Changed || out.Pins != 3 || len(out.Stale) != 1 || !strings.Contains(out.Stale[0], "malformed") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestTokenAndApp(t *testing.T) {
	const token = "ghs_installation-4711"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newRoom(t)
	m.gh.NeedToken(token)
	if _, err := m.bring(t); !errors.Is(err, fault.Gone) {
		t.Error("without a token:", err)
	}
	m.env["GITHUB_TOKEN"] = "wrong"
	if _, err := m.bring(t); !errors.Is(err, fault.Gone) || strings.Contains(err.Error(), `"wrong"`) {
		t.Error("with another token:", err)
	}
	m.env["GITHUB_TOKEN"] = token
	m.must(t)
	delete(m.env, "GITHUB_TOKEN")
	m.env["GITHUB_APP_ID"], m.env["GITHUB_APP_INSTALLATION_ID"], m.env["GITHUB_APP_PRIVATE_KEY"] = "12", "34", file
	m.gh.Requests()
	m.must(t)
	if asked := m.gh.Requests(); len(asked) != 3 || asked[0] != "POST app/installations/34/access_tokens 201" {
		t.Error("with an App:", asked)
	}
}

// TestTokenStaysWithItsHost: a redirect to another host gets no credentials.
func TestTokenStaysWithItsHost(t *testing.T) {
	m, other := newRoom(t), githubtest.New(t)
	m.env["GITHUB_TOKEN"] = "secret"
	seen := ""
	other.Answer(func(w http.ResponseWriter, r *http.Request) {
		seen = "asked " + r.Header.Get("Authorization")
		w.WriteHeader(404)
	})
	m.gh.Answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/x", http.StatusMovedPermanently)
	})
	_, _ = m.bring(t)
	if seen != "asked " {
		t.Errorf("the other host was %q", seen)
	}
}

func TestEnvironmentThatIsWrong(t *testing.T) {
	for i, env := range []map[string]string{
		{"GITHUB_API_URL": "http://github.example.org/api/v3"}, {"GITHUB_API_URL": "https://u:p@github.example.org"}, {"GITHUB_API_URL": "://"},
		{"GITHUB_APP_ID": "1"}, {"GITHUB_APP_ID": "1", "GITHUB_APP_INSTALLATION_ID": "2", "GITHUB_APP_PRIVATE_KEY": "/nowhere"},
		{"GITHUB_APP_ID": "1", "GITHUB_APP_INSTALLATION_ID": "2", "GITHUB_APP_PRIVATE_KEY": os.DevNull},
	} {
		m := newRoom(t)
		m.env = env
		_, err := reqsource.New(m.cfg)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Config || f.Advice == "" || strings.Contains(err.Error(), "u:p") {
			t.Error(strconv.Itoa(i), err)
		}
	}
}

// TestAbsurdLimits: whatever a server or a proxy in its place says of limits, it
// is neither asked without a pause nor never again.
func TestAbsurdLimits(t *testing.T) {
	for _, after := range []string{"0", "1", "315360000", "9223372036854775807"} {
		t.Run("Retry-After "+after, func(t *testing.T) {
			m := newRoom(t)
			m.cfg.Refs = m.cfg.Refs[:1]
			m.must(t)
			m.gh.Requests()
			for range 50 {
				m.gh.Answer(githubtest.Secondary(http.StatusTooManyRequests, after))
			}
			out, err := m.bring(t)
			if n := len(m.gh.Requests()); n > 4 || err != nil || len(out.Stale) != 1 {
				t.Fatalf("%d requests: %+v, %v", n, out, err)
			}
			m.now = m.now.Add(24 * time.Hour)
			if _, err := m.bring(t); err != nil || len(m.gh.Requests()) == 0 {
				t.Errorf("a day later it is not asked: %v", err)
			}
		})
	}
}
