package reqsource

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/google/go-github/v58/github"

	"mirrorcycle/internal/fault"
)

// github resolves each ref and reads its files where the commit moved.
func (s *Source) github(ctx context.Context, r *record) (notes []string, first error) {
	a := &api{s: s, record: r}
	refs := map[string]refRecord{}
	for _, name := range s.cfg.Refs {
		had, known := r.Refs[name]
		next, err := a.ref(ctx, name, had)
		if err == nil {
			refs[name] = next
			continue
		}
		if first == nil {
			first = err
		}
		if known {
			refs[name] = had
			notes = append(notes, stale(name+" stays at commit "+had.Commit, err))
		} else {
			notes = append(notes, stale(name+" is not known yet", err))
		}
	}
	r.Refs = refs
	if a.moved != "" {
		notes = append(notes, fmt.Sprintf("%s has moved, its old name answers from %s: write the new one into the spec", s.cfg.GitHub, a.moved))
	}
	return notes, first
}

// api is one call's conversation with GitHub.
type api struct {
	s      *Source
	record *record
	moved  string                   // where another name of the repository led
	read   map[[2]string]fileRecord // by commit and path: refs often share one
}

// ref returns the record of a branch or tag as it is now.
func (a *api) ref(ctx context.Context, name string, had refRecord) (refRecord, error) {
	text, resp, err := a.get(ctx, "commits/"+url.PathEscape(name), "application/vnd.github.sha", had.ETag)
	if err != nil {
		return had, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return had, nil
	}
	commit := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(commit); err != nil || len(raw) < sha1.Size {
		return had, &fault.Error{Kind: fault.Malformed, Op: "reqsource: resolve", Subject: name, Err: fmt.Errorf("%.60q is no commit", commit),
			Advice: "does a portal or proxy answer in GitHub's place?"}
	}
	next := refRecord{Commit: commit, ETag: resp.Header.Get("ETag"), Files: map[string]fileRecord{}}
	if commit == had.Commit {
		next.Files = maps.Clone(had.Files)
		return next, nil
	}
	for _, file := range a.s.files() {
		f, err := a.file(ctx, commit, file)
		if err != nil {
			return had, err
		}
		next.Files[file] = f
	}
	return next, nil
}

func (a *api) file(ctx context.Context, commit, file string) (fileRecord, error) {
	key := [2]string{commit, file}
	if f, ok := a.read[key]; ok {
		return f, nil
	}
	data, err := a.contents(ctx, commit, file)
	if err != nil {
		return fileRecord{}, err
	}
	f, err := a.s.keep(file, data)
	if err == nil {
		if a.read == nil {
			a.read = map[[2]string]fileRecord{}
		}
		a.read[key] = f
	}
	return f, err
}

// contents reads a file at a commit and proves it by the name of its blob. The
// contents API holds files up to 1 MB; beyond, it only names the blob.
func (a *api) contents(ctx context.Context, commit, file string) ([]byte, error) {
	malformed := func(err error) ([]byte, error) {
		return nil, &fault.Error{Kind: fault.Malformed, Op: "reqsource: read", Subject: file + " at " + commit, Err: err,
			Advice: "look at the path in the spec"}
	}
	where := "contents/" + (&url.URL{Path: path.Clean(file)}).EscapedPath() + "?ref=" + url.QueryEscape(commit)
	answer, _, err := a.get(ctx, where, "application/vnd.github+json", "")
	if err != nil {
		return nil, err
	}
	var c github.RepositoryContent
	if err := json.Unmarshal(answer, &c); err != nil {
		return malformed(errors.New("it is a directory, or not what GitHub answers"))
	}
	if c.GetType() != "file" || c.GetSHA() == "" {
		return malformed(fmt.Errorf("it is a %.20q, not a file", c.GetType()))
	}
	var data []byte
	switch c.GetEncoding() {
	case "base64":
		if c.Content != nil {
			if data, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(*c.Content, "\n", "")); err != nil {
				return malformed(err)
			}
		}
	default: // "none": too large for this form
		if c.GetSize() > maxText {
			return malformed(fmt.Errorf("it has %d bytes, more than 16 MB", c.GetSize()))
		}
		if data, _, err = a.get(ctx, "git/blobs/"+url.PathEscape(c.GetSHA()), "application/vnd.github.raw", ""); err != nil {
			return nil, err
		}
	}
	if name := blobName(data); name != c.GetSHA() {
		return nil, &fault.Error{Kind: fault.Unproved, Op: "reqsource: read", Subject: file + " at " + commit,
			Err: fmt.Errorf("its content is blob %s, GitHub named %.60q", name, c.GetSHA()), Advice: "the next cycle asks again"}
	}
	return data, nil
}

// blobName is the object name that git gives a file's content.
func blobName(data []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// attempts is how often a failing server is asked, with pauses between.
const attempts = 4

// get asks for a part of the repository until there is an answer to keep: 2xx or 304.
func (a *api) get(ctx context.Context, part, accept, etag string) ([]byte, *http.Response, error) {
	pause := 2 * time.Second
	for try := 1; ; try++ {
		if until := a.record.NotBefore; a.s.cfg.Now().Before(until) {
			return nil, nil, a.fail(part, fault.Unavailable, fmt.Errorf("its limit is used up until %s", until.UTC().Format(time.RFC3339)),
				"give the worker a token or an App of its own, see docs/operations.md")
		}
		data, resp, err := a.ask(ctx, "repos/"+a.s.cfg.GitHub+"/"+part, accept, etag)
		if err == nil {
			return data, resp, nil
		}
		if resp != nil {
			if wait, ok := limited(resp, err, a.s.cfg.Now()); ok {
				if wait > a.s.cfg.MaxWait || try >= attempts {
					a.record.NotBefore = a.s.cfg.Now().Add(max(wait, time.Minute)).Truncate(time.Second)
					continue // to say so
				}
				if err := a.s.cfg.Wait(ctx, wait); err != nil {
					return nil, nil, err
				}
				continue
			}
			if kind := kindOf(resp.StatusCode); kind != fault.Unavailable {
				return nil, resp, a.fail(part, kind, err, adviceFor(kind))
			}
		}
		if errors.Is(err, fault.Hostile) || errors.Is(err, fault.Config) || ctx.Err() != nil {
			return nil, resp, err
		}
		if try >= attempts {
			return nil, resp, a.fail(part, fault.Unavailable, err, "the next cycle asks again")
		}
		if err := a.s.cfg.Wait(ctx, pause); err != nil {
			return nil, nil, err
		}
		pause *= 2
	}
}

func (a *api) fail(part string, kind fault.Kind, err error, advice string) error {
	what, _, _ := strings.Cut(part, "?")
	return &fault.Error{Kind: kind, Op: "reqsource: ask GitHub", Subject: a.s.cfg.GitHub + " " + what, Err: err, Advice: advice}
}

// kindOf sorts an answer that is not 2xx or 304. 422 is what a ref that is not
// there gets, once its name could be a commit's.
func kindOf(status int) fault.Kind {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone, status == http.StatusUnprocessableEntity, status == http.StatusConflict:
		return fault.Gone
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusUnavailableForLegalReasons:
		return fault.Denied
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusAccepted:
		return fault.Unavailable
	}
	return fault.Malformed
}

func adviceFor(kind fault.Kind) string {
	if kind == fault.Denied {
		return "look at the worker's token or App; see docs/operations.md"
	}
	return "look at repository, refs and paths in the spec; a private repository needs a token"
}

// ask makes one request. The response comes with an error too, if there was one.
func (a *api) ask(ctx context.Context, where, accept, etag string) ([]byte, *http.Response, error) {
	token, resp, err := a.token(ctx)
	if err != nil {
		return nil, resp, err
	}
	client, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	req, err := client.NewRequest(http.MethodGet, where, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", accept)
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if token != "" { // on the request, so that it is not carried to another host by a redirect
		req.Header.Set("Authorization", "Bearer "+token)
	}
	var body bounded
	answer, err := client.Do(ctx, req, &body)
	if answer == nil {
		return nil, nil, err
	}
	if got := answer.Request.URL.Path; got != req.URL.Path {
		_, part, _ := strings.Cut(req.URL.Path, a.s.cfg.GitHub+"/")
		a.moved = strings.TrimSuffix(got, "/"+part)
	}
	if answer.StatusCode == http.StatusNotModified && etag != "" {
		return nil, answer.Response, nil
	}
	return body.Bytes(), answer.Response, err
}

// client is a new one each time: go-github remembers limits by the clock of this
// machine, and would refuse to ask after the pause that the server named.
func (a *api) client() (*github.Client, error) {
	c := github.NewClient(a.s.cfg.HTTP)
	c.UserAgent = "MirrorCycle"
	if base := a.s.auth.base; base != "" {
		return c.WithEnterpriseURLs(base, base)
	}
	return c, nil
}

// token returns what to show, if anything; that of an App's installation is made
// anew some minutes before it expires.
func (a *api) token(ctx context.Context) (string, *http.Response, error) {
	au := a.s.auth
	if au.key == nil {
		return au.token, nil, nil
	}
	au.mu.Lock()
	defer au.mu.Unlock()
	now := a.s.cfg.Now()
	if au.minted != "" && now.Before(au.expires.Add(-5*time.Minute)) {
		return au.minted, nil, nil
	}
	jwt, err := au.assertion(now)
	if err != nil {
		return "", nil, err
	}
	client, err := a.client()
	if err != nil {
		return "", nil, err
	}
	req, err := client.NewRequest(http.MethodPost, "app/installations/"+url.PathEscape(au.install)+"/access_tokens", nil)
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Authorization", "Bearer "+jwt)
	var made github.InstallationToken
	answer, err := client.Do(ctx, req, &made)
	if err != nil {
		if answer == nil {
			return "", nil, err
		}
		return "", answer.Response, err
	}
	au.minted, au.expires = made.GetToken(), made.GetExpiresAt().Time
	return au.minted, nil, nil
}

// bounded takes an answer of up to maxText bytes and what base64 adds.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > 2*maxText {
		return 0, &fault.Error{Kind: fault.Hostile, Op: "reqsource: read", Err: errors.New("the answer is larger than 32 MB")}
	}
	return b.Buffer.Write(p)
}
