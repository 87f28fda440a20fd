// Package notify tells a webhook once when a mirror or a region is held, fails, lags behind, lacks what is asked for, or recovers.
//
// What was told is compared with how things stand: a change while nobody
// answered, and back, is no news. A notice counts as told when the webhook has
// answered with 2xx; a worker that dies between the two tells it again under
// the same ID.
package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/fetch"
	"mirrorcycle/internal/site"
	"mirrorcycle/internal/standing"
)

// Version is raised when a field of a notice changes its meaning. Fields may be added without that.
const Version = 1

// The conditions.
const (
	Held      = "held"
	Failed    = "failed"
	Lagging   = "lagging"
	Lacking   = "lacking"
	Recovered = "recovered"
)

// Due lists what is to be told: each mirror and region whose condition is not
// the one that was told last. What a cycle did not find out is no change.
func Due(cycle string, r *standing.Record, told standing.Told, lag time.Duration) []standing.Notice {
	var out []standing.Notice
	now := r.Status.Written
	for i := range r.Status.Mirrors {
		m := &r.Status.Mirrors[i]
		n := standing.Notice{Version: Version, Cycle: cycle, Mirror: m.Name, Since: now, Detail: m.Error}
		if m.Outcome == Held {
			n.Detail, n.Run = strings.Join(m.Reasons, "; "), site.Approve(m.Name, m.Plan)
		}
		c := condition(m.Outcome, m.LevelAt, now, lag)
		if lacks := lacking(m.Deferred); c == Recovered && lacks != "" {
			c, n.Detail = Lacking, lacks
		}
		out = news(out, n, c, told)
		for j := range m.Regions {
			s := &m.Regions[j]
			n := standing.Notice{Version: Version, Cycle: cycle, Mirror: m.Name, Region: s.Region, Since: now, Detail: s.Error}
			out = news(out, n, condition(s.Outcome, s.LevelAt, now, lag), told)
		}
	}
	return out
}

// lacking quotes the first notes of what cycle after cycle finds lacking: files
// that upstream does not have, lines of requirements that cannot be read or that
// nothing meets.
func lacking(notes []site.Note) string {
	const most = 5
	var all []string
	for _, n := range notes {
		if n.Known {
			all = append(all, n.Error)
		}
	}
	if len(all) > most {
		all = append(all[:most:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "; ")
}

// condition judges an outcome; "" means that nobody knows.
func condition(outcome string, level, now time.Time, lag time.Duration) string {
	switch outcome {
	case Held, Failed:
		return outcome
	case "", "on-hold", "planned": // nobody looked, or a person knows
		return ""
	}
	switch {
	case !level.IsZero() && now.Sub(level) > lag:
		return Lagging
	case outcome == "busy" || outcome == "late":
		return ""
	}
	return Recovered
}

// Subject is what a notice is about.
func Subject(n standing.Notice) string {
	if n.Region == "" {
		return n.Mirror
	}
	return n.Mirror + "@" + n.Region
}

func news(out []standing.Notice, n standing.Notice, condition string, told standing.Told) []standing.Notice {
	last := told[Subject(n)].Condition
	if last == "" {
		last = Recovered // nothing was ever wrong
	}
	if condition == "" || condition == last {
		return out
	}
	n.Condition = condition
	if last != Recovered {
		n.From = last
	}
	n.Text = text(n)
	sum := sha256.Sum256([]byte(strings.Join([]string{n.Cycle, Subject(n), n.Condition, n.Since.UTC().Format(time.RFC3339Nano)}, "\n")))
	n.ID = hex.EncodeToString(sum[:16])
	return append(out, n)
}

func text(n standing.Notice) string {
	subject := "mirror " + n.Mirror
	if n.Region != "" {
		subject += " in region " + n.Region
	}
	what := map[string]string{Held: "is held: its plan needs your approval", Failed: "failed", Lagging: "lags behind", Lacking: "lacks something that it should have", Recovered: "is right again"}[n.Condition]
	return n.Cycle + ": " + subject + " " + what
}

// client follows no redirect: it would turn the notice into a request for a page.
var client = &http.Client{Timeout: 15 * time.Second, Transport: fetch.Proxied(http.DefaultTransport.(*http.Transport).Clone()),
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Send posts a notice to the URL that the file holds. No error quotes the URL.
func Send(ctx context.Context, urlFile string, n standing.Notice) error {
	target, err := readURL(urlFile)
	if err != nil {
		return err
	}
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("notify: send: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return failure(fault.Config, urlFile, errors.New("its URL is not readable"))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "MirrorCycle")
	resp, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error // its text has the URL
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return failure(fault.Unavailable, urlFile, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return failure(fault.Unavailable, urlFile, fmt.Errorf("HTTP status %d", code))
	default:
		return failure(fault.Denied, urlFile, fmt.Errorf("HTTP status %d", code))
	}
}

func readURL(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", failure(fault.Config, file, err)
	}
	text := strings.TrimSpace(string(data))
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", failure(fault.Config, file, errors.New("it does not hold an http or https URL"))
	}
	return text, nil
}

func failure(kind fault.Kind, file string, err error) error {
	return &fault.Error{Kind: kind, Op: "notify: send to the webhook of", Subject: file, Err: err, Advice: "check the file of notify.url-file and its webhook"}
}
