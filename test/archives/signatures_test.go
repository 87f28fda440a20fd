package archives_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/debrepo"
)

// gpg runs GnuPG with the maker's keys and returns what it wrote.
func (m *maker) gpg(stdin string, args ...string) []byte {
	m.t.Helper()
	in := filepath.Join(m.t.TempDir(), "in")
	if err := os.WriteFile(in, []byte(stdin), 0o644); err != nil {
		m.t.Fatal(err)
	}
	args = append([]string{"--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", "--allow-weak-digest-algos", "--output", "-"}, args...)
	return []byte(m.run(m.home, "gpg", append(args, in)...))
}

// key makes a key with algo that may sign, now if at is "", and returns its name.
func (m *maker) key(name, algo, expires, at string) string {
	m.t.Helper()
	args := []string{"--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}
	if at != "" {
		args = append(args, "--faked-system-time", at)
	}
	m.run(m.home, "gpg", append(args, "--quick-gen-key", name+"@example.org", algo, "sign", expires)...)
	return name + "@example.org"
}

// TestSignaturesAsAptJudgesThem has apt-get update and the mirror judge the same
// files: what apt refuses is refused, what it accepts is accepted.
func TestSignaturesAsAptJudgesThem(t *testing.T) {
	m := newMaker(t, "apt-ftparchive")
	m.deb("pool/main", "alpha", "1", "amd64")
	m.ftparchive()
	const dir = "dists/stable"
	release, err := os.ReadFile(filepath.Join(m.dir, dir, "Release"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(release)
	other := m.key("unknown", "ed25519", "never", "")
	expired := m.key("expired", "ed25519", "2y", "20200101T000000!")
	weak := m.key("weak", "rsa1024", "never", "")
	rsa := m.key("rsa", "rsa2048", "never", "")
	m.run(m.home, "gpg", "--batch", "--yes", "--output", m.keys, "--export", m.id, expired, weak, rsa)
	clear := func(args ...string) []byte { return m.gpg(text, append(args, "--clearsign")...) }
	detached := func(args ...string) []byte { return m.gpg(text, append(args, "--armor", "--detach-sign")...) }
	by := func(ids ...string) (out []string) {
		for _, id := range ids {
			out = append(out, "--local-user", id)
		}
		return out
	}
	good := clear(by(m.id)...)
	broken := bytes.Replace(good, []byte("Suite: stable"), []byte("Suite: steble"), 1)
	for name, c := range map[string]struct {
		inRelease, gpg []byte
		accepted       bool
		stricter       bool // apt 2.6 accepts what later ones, and the mirror, refuse
	}{
		"plain":                               {good, nil, true, false},
		"RSA":                                 {clear(by(rsa)...), nil, true, false},
		"SHA-512":                             {clear(append(by(m.id), "--digest-algo", "SHA512")...), nil, true, false},
		"a known and an unknown signer":       {clear(by(m.id, other)...), nil, true, false},
		"an unknown and a known signer":       {clear(by(other, m.id)...), nil, true, false},
		"two known signers":                   {clear(by(m.id, rsa)...), nil, true, false},
		"a valid and an expired signer":       {clear(append(by(m.id, expired), "--faked-system-time", "20210101T000000!")...), nil, true, false},
		"an unknown signer alone":             {clear(by(other)...), nil, false, false},
		"changed text":                        {broken, nil, false, false},
		"text before the block":               {append([]byte("hello\n"), good...), nil, false, false},
		"text after the block":                {append(bytes.Clone(good), "hello\n"...), nil, false, false},
		"a blank line before the block":       {append([]byte("\n"), good...), nil, false, false},
		"a blank line after the block":        {append(bytes.Clone(good), '\n'), nil, false, false},
		"two blocks":                          {append(bytes.Clone(good), good...), nil, false, false},
		"no end":                              {good[:len(good)-30], nil, false, false},
		"a key that has expired by now":       {clear(append(by(expired), "--faked-system-time", "20210101T000000!")...), nil, false, false},
		"a signature that has expired":        {clear(append(by(m.id), "--faked-system-time", "20210101T000000!", "--default-sig-expire", "1d")...), nil, false, false},
		"a signature of the future":           {clear(append(by(m.id), "--faked-system-time", "20500101T000000!")...), nil, true, true},
		"RSA of 1024 bits":                    {clear(by(weak)...), nil, true, true},
		"a signature of SHA-1":                {clear(append(by(rsa), "--digest-algo", "SHA1")...), nil, false, false},
		"carriage returns":                    {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), nil, true, false},
		"a comment in the block":              {bytes.Replace(good, []byte("Hash: "), []byte("Comment: x\nHash: "), 1), nil, true, true},
		"a comment in the signature":          {bytes.Replace(good, []byte("-----BEGIN PGP SIGNATURE-----\n"), []byte("-----BEGIN PGP SIGNATURE-----\nComment: x\n"), 1), nil, true, false},
		"detached, blank line between":        {nil, bytes.Join([][]byte{detached(by(m.id)...), detached(by(m.id)...)}, []byte("\n")), false, false},
		"detached, blank line before":         {nil, append([]byte("\n"), detached(by(m.id)...)...), false, false},
		"detached, blank line after":          {nil, append(detached(by(m.id)...), '\n'), false, false},
		"detached, armored":                   {nil, detached(by(m.id)...), true, false},
		"detached, binary":                    {nil, m.gpg(text, append(by(m.id), "--detach-sign")...), false, false},
		"detached, two blocks, one known":     {nil, append(detached(by(other)...), detached(by(m.id)...)...), true, false},
		"detached, two blocks, the other way": {nil, append(detached(by(m.id)...), detached(by(other)...)...), true, false},
		"detached, text between two blocks":   {nil, bytes.Join([][]byte{detached(by(m.id)...), detached(by(m.id)...)}, []byte("hello\n")), false, false},
		"detached, of another text":           {nil, m.gpg("other", append(by(m.id), "--armor", "--detach-sign")...), false, false},
		"detached, one of another text":       {nil, append(m.gpg("other", append(by(rsa), "--armor", "--detach-sign")...), detached(by(m.id)...)...), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			mine := *m
			mine.t = t
			os.Remove(filepath.Join(m.dir, dir, "InRelease"))
			os.Remove(filepath.Join(m.dir, dir, "Release.gpg"))
			if c.inRelease != nil {
				mine.write(dir+"/InRelease", string(c.inRelease))
			} else {
				mine.write(dir+"/Release.gpg", string(c.gpg))
			}
			machine := newClient(t, "deb [signed-by="+m.keys+"] "+upstreamOf(t, m.dir)+" stable main\n", `APT::Architectures { "amd64"; };`)
			said, refused := machine.run("apt-get", "update")
			if (refused == nil) != c.accepted {
				t.Errorf("apt accepts it: %v\n%s", refused == nil, said)
			}
			f, err := os.Open(m.keys)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			keys, err := debrepo.ReadKeyring(f)
			if err != nil {
				t.Fatal(err)
			}
			if c.inRelease != nil {
				_, _, err = debrepo.Verify(keys, c.inRelease)
			} else {
				_, err = debrepo.VerifyRelease(keys, release, c.gpg)
			}
			if (err == nil) != (c.accepted && !c.stricter) {
				t.Errorf("the mirror accepts it: %v (%v)\n%s", err == nil, err, strings.TrimSpace(said))
			}
		})
	}
}
