// Package githubtest is a GitHub to test against: it speaks the part of the REST API that reads refs and files, with its limits and moods.
package githubtest

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// largeFile is the size in bytes above which the contents API names a file's blob only.
const largeFile = 1 << 20

// Server is one repository, "openstack/requirements", behind the paths of an
// Enterprise server. Its fields may be set between requests.
type Server struct {
	URL string // what GITHUB_API_URL is to be

	mu        sync.Mutex
	refs      map[string]string            // to commits
	commits   map[string]map[string][]byte // to files
	requests  []string
	limit     int // requests left, -1 for no limit
	reset     time.Time
	answers   []http.HandlerFunc // instead of the next answers
	moved     bool
	needToken string
	now       func() time.Time
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{refs: map[string]string{}, commits: map[string]map[string][]byte{}, limit: -1, now: time.Now}
	mux := http.NewServeMux()
	for _, prefix := range []string{"/api/v3/repos/openstack/requirements/", "/api/v3/repositories/4711/"} {
		mux.HandleFunc("GET "+prefix+"commits/{ref}", s.commit)
		mux.HandleFunc("GET "+prefix+"contents/{path...}", s.contents)
		mux.HandleFunc("GET "+prefix+"git/blobs/{sha}", s.blob)
	}
	mux.HandleFunc("POST /api/v3/app/installations/{id}/access_tokens", s.installation)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not Found", "") })
	h := httptest.NewServer(s.front(mux))
	t.Cleanup(h.Close)
	s.URL = h.URL + "/api/v3"
	return s
}

// Push makes ref point to a new commit with these files, and returns its name.
func (s *Server) Push(ref string, files map[string]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha1.Sum(fmt.Append(nil, ref, len(s.commits), files))
	commit := hex.EncodeToString(sum[:])
	s.commits[commit] = map[string][]byte{}
	for name, text := range files {
		s.commits[commit][name] = []byte(text)
	}
	s.refs[ref] = commit
	return commit
}

// Point makes ref point to a commit that is there, or to none.
func (s *Server) Point(ref, commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs[ref] = commit; commit == "" {
		delete(s.refs, ref)
	}
}

// Requests returns what was asked since the last call: method, path, status.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// Limit leaves n requests until reset; answers of 304 count for nothing.
func (s *Server) Limit(n int, reset time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.reset = n, reset
}

// Clock sets the clock of the Date header.
func (s *Server) Clock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Answer puts answers in the place of the next ones; nil leaves one as it is.
func (s *Server) Answer(h ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, h...)
}

// Move makes the repository answer to its old name by a permanent redirect.
func (s *Server) Move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
}

// NeedToken hides the repository from whoever does not show the token.
func (s *Server) NeedToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needToken = token
}

// Secondary is the answer of a secondary limit, with Retry-After in seconds
// unless after is "".
func Secondary(status int, after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		refuse(w, status, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
			"https://docs.github.example.org/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits")
	}
}

// Status is an answer without a body.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &statusWriter{w, http.StatusOK}
		s.mu.Lock()
		h := s.choose(r, next)
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		if s.limit >= 0 {
			w.Header().Set("X-RateLimit-Limit", "60")
			w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(s.limit))
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(s.reset.Unix(), 10))
		}
		s.mu.Unlock()
		h.ServeHTTP(out, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.limit > 0 && out.status != http.StatusNotModified {
			s.limit--
		}
		s.requests = append(s.requests, fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.URL.EscapedPath(), "/api/v3/"), out.status))
	})
}

// choose says who answers.
func (s *Server) choose(r *http.Request, next http.Handler) http.Handler {
	minting := r.Method == http.MethodPost
	if len(s.answers) > 0 {
		h := s.answers[0]
		if s.answers = s.answers[1:]; h != nil {
			return h
		}
	}
	switch {
	case s.limit == 0 && !s.now().Before(s.reset):
		s.limit = 60
	case s.limit == 0:
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusForbidden, "API rate limit exceeded for 192.0.2.1.", "https://docs.github.example.org/rest/overview/rate-limits")
		})
	}
	if s.needToken != "" && !minting && r.Header.Get("Authorization") != "Bearer "+s.needToken {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not Found", "") })
	}
	if to, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v3/repos/openstack/requirements/"); ok && s.moved {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", s.URL+"/repositories/4711/"+to+"?"+r.URL.RawQuery)
			refuse(w, http.StatusMovedPermanently, "Moved Permanently", "")
		})
	}
	return next
}

func refuse(w http.ResponseWriter, status int, message, docs string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message, "documentation_url": docs})
}

func (s *Server) commit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	commit, ok := s.refs[r.PathValue("ref")]
	s.mu.Unlock()
	if !ok {
		refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+r.PathValue("ref"), "")
		return
	}
	etag := `"` + commit + `"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if !strings.Contains(r.Header.Get("Accept"), "sha") {
		refuse(w, http.StatusNotImplemented, "this double knows the media type sha only", "")
		return
	}
	_, _ = w.Write([]byte(commit))
}

func (s *Server) contents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.commits[r.URL.Query().Get("ref")][r.PathValue("path")]
	s.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "Not Found", "")
		return
	}
	answer := map[string]any{"type": "file", "name": r.PathValue("path"), "path": r.PathValue("path"), "sha": blobName(data), "size": len(data),
		"encoding": "none", "content": ""}
	if len(data) <= largeFile {
		answer["encoding"], answer["content"] = "base64", inLines(base64.StdEncoding.EncodeToString(data))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer)
}

// inLines cuts text into lines of 60 characters, as GitHub does.
func inLines(text string) string {
	var b strings.Builder
	for len(text) > 60 {
		b.WriteString(text[:60] + "\n")
		text = text[60:]
	}
	return b.String() + text + "\n"
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, files := range s.commits {
		for _, data := range files {
			if blobName(data) == r.PathValue("sha") {
				w.Header().Set("Content-Type", "application/vnd.github.raw; charset=utf-8")
				_, _ = w.Write(data)
				return
			}
		}
	}
	refuse(w, http.StatusNotFound, "Not Found", "")
}

func blobName(data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(sum[:])
}

// installation mints the token that NeedToken asks for, for whoever signed as an App.
func (s *Server) installation(w http.ResponseWriter, r *http.Request) {
	jwt, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || strings.Count(jwt, ".") != 2 {
		refuse(w, http.StatusUnauthorized, "A JSON web token could not be decoded", "")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"token": s.needToken, "expires_at": s.now().Add(time.Hour).UTC().Format(time.RFC3339)})
}
