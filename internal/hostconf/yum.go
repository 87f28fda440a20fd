package hostconf

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"strings"
)

// Repo is an enabled section of a .repo file (dnf.conf(5)).
type Repo struct {
	ID   string
	Keys map[string]string // variables of the machine are filled in, but for $releasever and $basearch
	At   string            // the file
}

// rpmMachine is what a machine fills into .repo files.
type rpmMachine struct {
	main          map[string]string // of dnf.conf
	vars          map[string]string
	release, arch string
}

func readRpmMachine(root string) rpmMachine {
	m := rpmMachine{main: map[string]string{}, vars: map[string]string{}}
	m.arch = cmp.Or(map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}[runtime.GOARCH], runtime.GOARCH)
	for _, f := range files(root, "etc/yum.conf", "etc/dnf/dnf.conf") {
		for _, s := range parseINI(read(root, f)) {
			if s.ID == "main" {
				m.main = s.Keys
			}
		}
	}
	for _, f := range files(root, "etc/yum/vars/*", "etc/dnf/vars/*") {
		m.vars[path.Base(f)] = strings.TrimSpace(read(root, f))
	}
	release := map[string]string{}
	for line := range strings.Lines(read(root, "etc/os-release") + "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		release[key] = strings.Trim(value, `"'`)
	}
	m.release = release["VERSION_ID"]
	if strings.Contains(release["ID"]+release["ID_LIKE"], "rhel") { // their $releasever has no minor version
		m.release, _, _ = strings.Cut(m.release, ".")
	}
	m.release, m.arch = cmp.Or(m.vars["releasever"], m.release), cmp.Or(m.vars["basearch"], m.arch)
	for _, v := range []string{"releasever", "basearch", "arch"} { // stay variables in a spec
		delete(m.vars, v)
	}
	return m
}

// repos reads the enabled repositories of dnf and zypper.
func (m rpmMachine) repos(root string) (out []Repo) {
	for _, f := range files(root, "etc/yum.repos.d/*.repo", "etc/zypp/repos.d/*.repo") {
		for _, s := range parseINI(read(root, f)) {
			if on := cmp.Or(s.Keys["enabled"], "1"); s.ID == "main" || on == "0" || strings.EqualFold(on, "false") || strings.EqualFold(on, "no") {
				continue
			}
			s.At = "/" + f
			for key, value := range s.Keys {
				s.Keys[key] = m.expand(value)
			}
			for _, key := range []string{"gpgcheck", "repo_gpgcheck"} {
				s.Keys[key] = cmp.Or(s.Keys[key], m.main[key])
			}
			out = append(out, s)
		}
	}
	return out
}

var variable = regexp.MustCompile(`\$(\w+|\{\w+\})`)

// expand fills in the machine's own variables; unknown ones stay.
func (m rpmMachine) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		return cmp.Or(m.vars[strings.Trim(v, "${}")], v)
	})
}

// parseINI reads sections; a line that begins with a space goes on with the value before.
func parseINI(text string) (out []Repo) {
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			out, last = append(out, Repo{ID: trimmed[1 : len(trimmed)-1], Keys: map[string]string{}}), ""
		case len(out) == 0:
		case line != trimmed && (line[0] == ' ' || line[0] == '\t') && last != "":
			out[len(out)-1].Keys[last] += " " + trimmed
		default:
			key, value, _ := strings.Cut(trimmed, "=")
			last = strings.ToLower(strings.TrimSpace(key))
			out[len(out)-1].Keys[last] = strings.TrimSpace(value)
		}
	}
	return out
}

// Yum is the part of dnf's and zypper's repositories.
func Yum(f Found) (mirrors, left []string) {
	taken := map[string]bool{"pypi": true}
	groups, _ := f.groups()
	for _, g := range groups {
		taken[g.name] = true
	}
	for _, r := range f.Repos {
		var b strings.Builder
		if why := f.yum(&b, r, taken); why != "" {
			left = append(left, why)
			continue
		}
		mirrors = append(mirrors, b.String())
	}
	return mirrors, left
}

// yum writes the mirror of a repository, and says why there is none.
func (f Found) yum(b *strings.Builder, r Repo, taken map[string]bool) (why string) {
	where, used, withLogin, why := f.where(r)
	if why != "" {
		return r.At + ": " + r.ID + ": " + why
	}
	fmt.Fprintf(b, "\n[[mirror]]\nname = %q\nkind = \"yum\"\n%s", name("http://host/"+r.ID, taken), where)
	if strings.Contains(used, "$releasever") {
		fmt.Fprintf(b, "releasever = [%q]\n", f.Release)
	}
	if strings.Contains(used, "$basearch") || strings.Contains(used, "$arch") {
		fmt.Fprintf(b, "architectures = [%q]\n", f.RpmArchitecture)
	}
	if withLogin || r.Keys["username"] != "" {
		b.WriteString(login)
	}
	checks := func(key string) bool {
		return r.Keys[key] == "1" || strings.EqualFold(r.Keys[key], "true") || strings.EqualFold(r.Keys[key], "yes")
	}
	proof := "packages"
	switch {
	case checks("repo_gpgcheck") && !checks("gpgcheck"):
		proof = "repomd"
	case !checks("gpgcheck"):
		b.WriteString("# This machine checks no signature of it. With upstream's keys: keyring, instead of proof.\nproof = \"none\"\n")
		return ""
	}
	fmt.Fprintf(b, "proof = %q\n", proof)
	first, _, more := strings.Cut(strings.Join(strings.FieldsFunc(r.Keys["gpgkey"], func(c rune) bool { return c == ' ' || c == ',' }), " "), " ")
	keyring, local := strings.CutPrefix(first, "file://")
	switch {
	case !local || strings.Contains(keyring, "$"):
		keyring = "/etc/mirrorcycle/" + name("http://host/"+r.ID, map[string]bool{}) + ".asc"
		b.WriteString("# Put the keys there that gpgkey names, from a source that you trust.\n")
	case more:
		b.WriteString("# gpgkey names more files: put all of their keys into one.\n")
	}
	fmt.Fprintf(b, "keyring = %q\n", keyring)
	return ""
}

// where writes the keys that say where a repository is, and returns the text in
// which variables stand.
func (f Found) where(r Repo) (keys, used string, withLogin bool, why string) {
	for _, key := range []string{"baseurl", "metalink", "mirrorlist"} {
		raw, _, _ := strings.Cut(strings.Join(strings.FieldsFunc(r.Keys[key], func(c rune) bool { return c == ' ' || c == ',' }), " "), " ")
		if raw == "" {
			continue
		}
		for _, v := range variable.FindAllString(raw, -1) {
			if v = strings.Trim(v, "${}"); v != "releasever" && v != "basearch" && v != "arch" {
				return "", "", false, "nothing on this machine says what $" + v + " is"
			}
		}
		if f.Release == "" && strings.Contains(raw, "releasever") {
			return "", "", false, "/etc/os-release does not say what $releasever is"
		}
		if key != "baseurl" {
			query := ""
			base, rest, asked := strings.Cut(raw, "?")
			if asked {
				query = "?" + rest
			}
			url, ok := clean(base)
			if !ok || strings.Contains(base, "$") {
				return "", "", false, "its " + key + " is no http or https URL that a spec takes"
			}
			return fmt.Sprintf("%s = %q\n", key, url+query), query, strings.Contains(base, "@"), ""
		}
		root, dir := raw, ""
		if i := strings.IndexByte(raw, '$'); i >= 0 {
			i = strings.LastIndexByte(raw[:i], '/') + 1
			root, dir = raw[:i], strings.Trim(raw[i:], "/")
		}
		url, ok := clean(root)
		if !ok {
			return "", "", false, "its baseurl is no http or https URL"
		}
		keys = fmt.Sprintf("upstream = [%q]\n", url)
		if dir != "" {
			keys += fmt.Sprintf("repos = [%q]\n", dir)
		}
		return keys, dir, strings.Contains(root, "@"), ""
	}
	return "", "", false, "it names no server"
}
