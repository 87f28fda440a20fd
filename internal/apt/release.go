package apt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/tree"
)

// maxRelease bounds a Release file; Debian's are about 150 kB.
const maxRelease = 32 << 20

// maxFuture is how far ahead of our clock a Date may be; apt refuses more than 10 s.
const maxFuture = 10 * time.Second

// signed is a suite's proved Release with the files it came in.
type signed struct {
	*debrepo.Release
	files map[string][]byte // InRelease, or Release and Release.gpg
	text  []byte
	// upstreams are those whose Release was not refused.
	upstreams []string
	signer    string // fingerprint of the key whose signature lasts longest
	etag      string
	lastMod   string
}

func (s *signed) digest() string {
	sum := sha256.Sum256(s.text)
	return hex.EncodeToString(sum[:])
}

// ask is how to ask for a Release.
type ask struct {
	whole bool // also if it stands still
	again bool // an earlier answer is doubted: no cache may answer
}

// release fetches a suite's Release, or returns nil if old is still the newest.
// One that proves nothing, that has
// expired or is older than the committed one may be this upstream's alone: the
// others are asked, too.
func (e *Engine) release(ctx context.Context, suite string, keys *debrepo.Keyring, old suiteState, how ask) (*signed, error) {
	var first error
	left := slices.Clone(e.cfg.Upstreams)
	for {
		s, from, err := e.releaseOf(ctx, left, suite, keys, old, how)
		switch {
		case err != nil:
		case s == nil:
			err = e.expired(suite, old)
		default:
			err = e.current(suite, s, old)
		}
		switch {
		case err == nil:
			if s != nil {
				s.upstreams = left
			}
			return s, nil
		case from == "": // none of them has answered
			return nil, cmp.Or(first, err)
		}
		if first == nil {
			first = err
		}
		if left = slices.DeleteFunc(left, func(u string) bool { return u == from }); len(left) == 0 {
			return nil, first
		}
		how.whole = true // what is known of one upstream says nothing of another
	}
}

// releaseOf asks some upstreams; from is the one whose answer it was, if one gave any.
func (e *Engine) releaseOf(ctx context.Context, upstreams []string, suite string, keys *debrepo.Keyring, old suiteState, how ask) (s *signed, from string, err error) {
	req := fetch.Request{Upstreams: upstreams, Path: join(suiteDir(suite), "InRelease"), Index: true, Max: maxRelease}
	if how.again {
		req.Header = http.Header{"Cache-Control": {"no-cache"}}
	}
	if !how.whole {
		req.ETag, req.LastModified = old.ETag, old.LastModified
	}
	data, res, err := e.client.GetBytes(ctx, req)
	switch {
	case absent(err):
		s, from, second := e.detached(ctx, upstreams, suite, keys)
		if absent(second) && !errors.Is(err, fault.Gone) {
			return nil, "", err // a refusal of everything is one, after all
		}
		return s, from, second
	case err != nil:
		return nil, "", err
	case res.NotModified:
		return nil, res.Upstream, nil
	}
	text, signer, err := debrepo.Verify(keys, data)
	if err != nil {
		return nil, res.Upstream, refuse(err, res.URL, data)
	}
	s = &signed{files: map[string][]byte{"InRelease": data}, text: text, signer: signer, etag: res.ETag, lastMod: res.LastModified}
	s.Release, err = debrepo.ParseRelease(text)
	return s, res.Upstream, subject(err, res.URL)
}

// absent reports whether upstream seems to lack a file that it need not have.
// Object stores answer 403 instead of 404 to those who may not list them.
func absent(err error) bool { return errors.Is(err, fault.Gone) || errors.Is(err, fault.Denied) }

// detached falls back to Release and Release.gpg where there is no InRelease.
func (e *Engine) detached(ctx context.Context, upstreams []string, suite string, keys *debrepo.Keyring) (s *signed, from string, err error) {
	dir := suiteDir(suite)
	text, res, err := e.client.GetBytes(ctx, fetch.Request{Upstreams: upstreams, Path: join(dir, "Release"), Index: true, Max: maxRelease})
	if err != nil {
		return nil, "", err
	}
	// The two belong together.
	sig, sigRes, err := e.client.GetBytes(ctx, fetch.Request{Upstreams: []string{res.Upstream}, Path: join(dir, "Release.gpg"), Index: true, Max: maxRelease})
	if err != nil {
		return nil, res.Upstream, err
	}
	signer, err := debrepo.VerifyRelease(keys, text, sig)
	if err != nil {
		return nil, res.Upstream, refuse(err, sigRes.URL, text)
	}
	s = &signed{files: map[string][]byte{"Release": text, "Release.gpg": sig}, text: text, signer: signer}
	s.Release, err = debrepo.ParseRelease(text)
	return s, res.Upstream, subject(err, res.URL)
}

// refuse explains a Release that proves nothing.
func refuse(err error, url string, data []byte) error {
	advice := "nothing was published; if upstream changed its key, add the new one to keyring"
	if len(data) > 0 && data[0] == '<' {
		advice = "nothing was published; the answer looks like a web page: is there a captive portal or a proxy in between?"
	}
	return &fault.Error{Kind: fault.KindOf(err), Op: "apt: verify", Subject: url, Err: err, Advice: advice}
}

func subject(err error, url string) error {
	if kind := fault.KindOf(err); err == nil || kind == "" {
		return err
	}
	return &fault.Error{Kind: fault.KindOf(err), Op: "apt: read", Subject: url, Err: err, Advice: "nothing was published; tell upstream"}
}

// current refuses a Release that clients would refuse, or that is older than the committed one.
func (e *Engine) current(suite string, s *signed, old suiteState) error {
	now := e.cfg.Now()
	why := ""
	switch {
	case s.Date.IsZero() && !old.Date.IsZero():
		why = "Release has no Date, and the one before had"
	case s.Date.Before(old.Date):
		why = fmt.Sprintf("Date %s is before %s, which was mirrored already", stamp(s.Date), stamp(old.Date))
	case s.Date.After(now.Add(maxFuture)):
		why = fmt.Sprintf("Date %s is in the future", stamp(s.Date))
	case !e.cfg.IgnoreValidUntil && !s.ValidUntil.IsZero() && s.ValidUntil.Before(now):
		why = fmt.Sprintf("Valid-Until %s has passed", stamp(s.ValidUntil))
	}
	if why == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Stale, Op: "apt: plan suite", Subject: join(suiteDir(suite), "InRelease"), Err: errors.New(why),
		Advice: "the suite keeps its generation; check the upstream mirror and this host's clock"}
}

// renamed says what a suite calls itself, if that is not what was asked for: a
// Release of another suite, signed by the same key, may stand in its place. What
// was accepted before is accepted again; archives have aliases.
func renamed(suite string, s *signed, old suiteState) string {
	asked := strings.TrimSuffix(strings.TrimPrefix(suite, "./"), "/")
	first, _, _ := strings.Cut(asked, "/")
	switch is := s.names(); {
	case strings.HasSuffix(suite, "/"), is == "/": // a flat repository has no name, others may have none
	case slices.Contains([]string{s.Suite, s.Codename, s.Version}, asked):
	case slices.Contains([]string{s.Suite, s.Codename}, first) && first != asked: // bookworm/updates
	case old.Digest != "" && (old.Is == "" || old.Is == is):
	default:
		return fmt.Sprintf("%s, which is Suite %q and Codename %q upstream", suite, s.Suite, s.Codename)
	}
	return ""
}

// names is what a Release calls its suite.
func (s *signed) names() string { return s.Suite + "/" + s.Codename }

// warnBefore is how long before a key expires it is told.
const warnBefore = 30 * 24 * time.Hour

// expiring warns of the key that signs a suite: when it has expired, clients refuse the suite.
func (e *Engine) expiring(suite, signer string, keys *debrepo.Keyring) []tree.Note {
	at := keys.Expires(signer)
	now := e.cfg.Now()
	if at.IsZero() || at.Sub(now) > warnBefore {
		return nil
	}
	what := "expires"
	if at.Before(now) {
		what = "has expired"
	}
	n := note(suite, &fault.Error{Kind: fault.Stale, Op: "apt: look at signer of", Subject: suiteDir(suite),
		Err: fmt.Errorf("key %s %s on %s", signer, what, at.UTC().Format(time.DateOnly)), Advice: "put upstream's newer keys into keyring, here and on clients"})
	n.Standing = true
	return []tree.Note{n}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
