package requirements

import (
	"net/url"
	"strings"
)

// public is a URL, also one of a version control system such as
// "git+https://…", without login, query and fragment, each of which may be a
// secret. Of what is no URL nothing is left.
func public(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return "unknown:" // a path, or nothing that can be told apart from a login
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// Text writes requirements one per line, as ParseFile reads them: without the
// comments, options and credentials of the text that they come from.
func Text(all []Requirement) []byte {
	var b strings.Builder
	for _, r := range all {
		b.WriteString(r.String() + "\n")
	}
	return []byte(b.String())
}
