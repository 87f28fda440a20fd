package clientfiles

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"mirrorcycle/mirrorspec"
)

// yum writes the repositories of one mirror. dnf's variables stay in them, for
// each machine to fill in. A mirror whose keys are not at hand gets no file,
// since nothing would be trusted; one that proves nothing says so.
func (w *writer) yum(m mirrorspec.Mirror) {
	keys := w.Keyrings[m.Name]
	if len(keys) == 0 && m.Proof != mirrorspec.ByNothing {
		return
	}
	trust := ""
	if len(keys) > 0 {
		name := "yum/" + m.Name + "-mirror.asc"
		w.files[name] = armored(keys)
		trust = "gpgkey=" + w.Region.URL + "/config/" + name + "\n"
	}
	var b strings.Builder
	b.WriteString(w.by())
	for _, dir := range m.Repos {
		id, checks := m.Name, "gpgcheck=0\n"
		if len(keys) > 0 {
			checks = w.checks(m, dir)
		}
		if dir = path.Clean(dir); dir == "." {
			dir = ""
		} else {
			id += "-" + strings.Trim(strings.NewReplacer("/", "-", "$", "", "{", "", "}", "").Replace(dir), "-")
			dir = "/" + dir
		}
		fmt.Fprintf(&b, "[%s]\nname=%s\nbaseurl=%s/%s%s\nenabled=1\n%s%s", id, id, w.Region.URL, m.Name, dir, trust, checks)
		b.WriteString("# An update that does not see this mirror fails, instead of installing nothing new.\nskip_if_unavailable=0\n")
	}
	w.files["yum/"+m.Name+".repo"] = []byte(b.String())
	w.yums = append(w.yums, m.Name)
}

// checks says what clients check: what the mirror has proved, since nobody
// promises more. The signature of repomd.xml is left to the mirror where packages
// are proved: the two files cannot change in one moment.
func (w *writer) checks(m mirrorspec.Mirror, dir string) string {
	signed := m.Proof == mirrorspec.ByRepomd
	if m.Proof == "" && w.Signed != nil {
		release, arch := first(m.Releases), first(m.Architectures)
		at := strings.NewReplacer("$releasever", release, "${releasever}", release, "$basearch", arch, "${basearch}", arch, "$arch", arch, "${arch}", arch).Replace(dir)
		signed = w.Signed(m.Name, path.Join(at, "repodata/repomd.xml.asc"))
	}
	if signed {
		return "gpgcheck=0\nrepo_gpgcheck=1\n"
	}
	return "gpgcheck=1\n"
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// armored returns keys as rpm imports them.
func armored(keys []byte) []byte {
	if bytes.HasPrefix(bytes.TrimSpace(keys), []byte("-----BEGIN PGP")) {
		return keys
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		_, err = w.Write(keys)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return keys // writing to memory does not fail
	}
	return append(b.Bytes(), '\n')
}

// Below answers Options.Signed from a directory that holds mirrors: a region or the trees.
func Below(dir string) func(mirror, name string) bool {
	return func(mirror, name string) bool {
		_, err := os.Stat(filepath.Join(dir, mirror, filepath.FromSlash(name)))
		return err == nil
	}
}
