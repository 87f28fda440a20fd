package apt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"mirrorcycle/internal/debrepo"
	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
)

// maxRelease bounds a Release file; Debian's are about 150 kB.
const maxRelease = 32 << 20

// maxFuture is how far ahead of our clock a Date may be; apt refuses more than 10 s.
const maxFuture = 10 * time.Second

// signed is a suite's proved Release with the files it came in.
type signed struct {
	*debrepo.Release
	files   map[string][]byte // InRelease, or Release and Release.gpg
	text    []byte
	etag    string
	lastMod string
}

func (s *signed) digest() string {
	sum := sha256.Sum256(s.text)
	return hex.EncodeToString(sum[:])
}

// release fetches a suite's Release, or returns nil if old is still the newest.
// With force it is fetched whole in any case.
func (e *Engine) release(ctx context.Context, suite string, keys *debrepo.Keyring, old suiteState, force bool) (*signed, error) {
	req := fetch.Request{Path: join(suiteDir(suite), "InRelease"), Index: true, Max: maxRelease}
	if !force {
		req.ETag, req.LastModified = old.ETag, old.LastModified
	}
	data, res, err := e.get(ctx, req)
	switch {
	case absent(err):
		s, second := e.detached(ctx, suite, keys)
		if absent(second) && !errors.Is(err, fault.Gone) {
			return nil, err // a refusal of everything is one, after all
		}
		return s, second
	case err != nil:
		return nil, err
	case res.NotModified:
		return nil, nil
	}
	text, _, err := debrepo.Verify(keys, data)
	if err != nil {
		return nil, refuse(err, res.URL, data)
	}
	s := &signed{files: map[string][]byte{"InRelease": data}, text: text, etag: res.ETag, lastMod: res.LastModified}
	s.Release, err = debrepo.ParseRelease(text)
	return s, subject(err, res.URL)
}

// absent reports whether upstream seems to lack a file that it need not have.
// Object stores answer 403 instead of 404 to those who may not list them.
func absent(err error) bool { return errors.Is(err, fault.Gone) || errors.Is(err, fault.Denied) }

// detached falls back to Release and Release.gpg where there is no InRelease.
func (e *Engine) detached(ctx context.Context, suite string, keys *debrepo.Keyring) (*signed, error) {
	dir := suiteDir(suite)
	text, res, err := e.get(ctx, fetch.Request{Path: join(dir, "Release"), Index: true, Max: maxRelease})
	if err != nil {
		return nil, err
	}
	sig, sigRes, err := e.get(ctx, fetch.Request{Path: join(dir, "Release.gpg"), Index: true, Max: maxRelease})
	if err != nil {
		return nil, err
	}
	if _, err := debrepo.VerifyDetached(keys, text, sig); err != nil {
		return nil, refuse(err, sigRes.URL, text)
	}
	s := &signed{files: map[string][]byte{"Release": text, "Release.gpg": sig}, text: text}
	s.Release, err = debrepo.ParseRelease(text)
	return s, subject(err, res.URL)
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
	case s.Date.IsZero():
		why = "Release has no Date"
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

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
