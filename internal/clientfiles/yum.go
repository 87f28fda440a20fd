package clientfiles

import (
	"bytes"
	"fmt"
	"path"
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
	trust := "gpgcheck=0\n"
	if len(keys) > 0 {
		name := "yum/" + m.Name + "-mirror.asc"
		w.files[name] = armored(keys)
		trust = "gpgkey=" + w.Region.URL + "/config/" + name + "\n" + checks(m.Proof)
	}
	var b strings.Builder
	b.WriteString(w.by())
	for _, dir := range m.Repos {
		id := m.Name
		if dir = path.Clean(dir); dir == "." {
			dir = ""
		} else {
			id += "-" + strings.Trim(strings.NewReplacer("/", "-", "$", "", "{", "", "}", "").Replace(dir), "-")
			dir = "/" + dir
		}
		fmt.Fprintf(&b, "[%s]\nname=%s\nbaseurl=%s/%s%s\nenabled=1\n%s", id, id, w.Region.URL, m.Name, dir, trust)
		b.WriteString("# An update that does not see this mirror fails, instead of installing nothing new.\nskip_if_unavailable=0\n")
	}
	w.files["yum/"+m.Name+".repo"] = []byte(b.String())
	w.yums = append(w.yums, m.Name)
}

// checks says what clients check. The signature of repomd.xml is left to the
// mirror where packages are signed: the two files cannot change in one moment.
func checks(proof string) string {
	if proof == mirrorspec.ByRepomd {
		return "gpgcheck=0\nrepo_gpgcheck=1\n"
	}
	return "gpgcheck=1\n"
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
