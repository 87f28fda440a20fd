package fetch

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
)

// login is one entry of a file of credentials.
type login struct {
	scheme         string // "http" or "https"; "" is https, and whatever does not leave this machine
	host           string // "" is the entry called default
	port           string // "" is any
	path           string // "" is any, else this directory or file and all below it
	user, password string
}

// netrc are the entries of a file, in its order: the first that fits counts.
type netrc []login

// readNetrc reads a file of credentials as netrc(5) and apt_auth.conf(5) describe
// it; a path of "" is no file.
func readNetrc(path string) (netrc, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseNetrc(string(data))
}

// parseNetrc reads entries. Errors name the line and quote nothing of it.
func parseNetrc(text string) (out netrc, err error) {
	macro := false
	for number, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if macro { // a macro goes on to the next empty line
			macro = len(words) > 0
			continue
		}
		for i := 0; i < len(words) && !strings.HasPrefix(words[i], "#"); i++ {
			word := words[i]
			if word == "default" {
				out = append(out, login{})
				continue
			}
			if macro = word == "macdef"; macro {
				break
			}
			if i++; i >= len(words) {
				return nil, fmt.Errorf("line %d: nothing follows %q", number+1, keyword(word))
			}
			if out, err = out.take(word, words[i]); err != nil {
				return nil, fmt.Errorf("line %d: %w", number+1, err)
			}
		}
	}
	return out, nil
}

// take reads one word with its value.
func (n netrc) take(word, value string) (netrc, error) {
	if word == "machine" {
		entry, err := machine(value)
		return append(n, entry), err
	}
	if len(n) == 0 {
		return n, fmt.Errorf("no machine before it")
	}
	switch word {
	case "login":
		n[len(n)-1].user = value
	case "password":
		n[len(n)-1].password = value
	case "account":
	default:
		return n, fmt.Errorf("unknown word")
	}
	return n, nil
}

// machine reads [scheme://]host[:port][/path], as apt has it.
func machine(text string) (login, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	if scheme = strings.ToLower(scheme); scheme != "" && scheme != "http" && scheme != "https" {
		return login{}, fmt.Errorf("the machine has another scheme than http and https")
	}
	u, err := url.Parse("//" + rest)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return login{}, fmt.Errorf("the machine is not [http://|https://]host[:port][/path]")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return login{}, fmt.Errorf("the machine's port is none")
	}
	l := login{scheme: scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}
	if u.Path != "" && u.Path != "/" {
		l.path = path.Clean(u.Path)
	}
	return l, nil
}

// keyword shows a word only if it is part of the format: anything else may be a secret.
func keyword(word string) string {
	switch word {
	case "machine", "login", "password", "account":
		return word
	}
	return "…"
}

// find returns the login for a URL. The entry called default is for own servers only.
func (n netrc) find(u *url.URL, own bool) (login, bool) {
	for _, l := range n {
		if l.fits(u) && (l.host != "" || own) {
			return l, true
		}
	}
	return login{}, false
}

func (l login) fits(u *url.URL) bool {
	switch {
	case l.scheme != "" && l.scheme != u.Scheme:
		return false
	case l.scheme == "" && u.Scheme != "https" && !isLoopback(u.Hostname()):
		return false // a login never crosses a network in the clear, unless the entry says so
	case l.host == "":
		return true
	case l.host != strings.ToLower(u.Hostname()):
		return false
	}
	if _, port, _ := net.SplitHostPort(server(u)); l.port != "" && l.port != port {
		return false
	}
	at := path.Clean("/" + u.Path)
	return l.path == "" || at == l.path || strings.HasPrefix(at, l.path+"/")
}

// isLoopback reports whether a host is this machine as it stands.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// withheld reports whether a login was kept back from u only because it is not https.
func (n netrc) withheld(u *url.URL) bool {
	secure := *u
	secure.Scheme = "https"
	_, would := n.find(&secure, true)
	_, does := n.find(u, true)
	return would && !does
}
