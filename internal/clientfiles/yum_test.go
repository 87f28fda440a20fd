package clientfiles_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/clientfiles"
	"mirrorcycle/internal/debrepo/debrepotest"
	"mirrorcycle/mirrorspec"
)

func TestYum(t *testing.T) {
	key := debrepotest.NewKey("rocky")
	o := clientfiles.Options{Kinds: kinds, Region: mirrorspec.Region{Name: "dfw", URL: "http://dfw.example.org"},
		Mirrors:  []mirrorspec.Mirror{{Name: "rocky", Kind: mirrorspec.Yum, Repos: []string{"$releasever/BaseOS/$basearch/os", "."}}},
		Keyrings: map[string][]byte{"rocky": debrepotest.PublicKeys(key)}}
	files := clientfiles.For(o)
	const tail = "enabled=1\ngpgkey=http://dfw.example.org/config/yum/rocky-mirror.asc\ngpgcheck=1\n# An update that does not see this mirror fails, instead of installing nothing new.\nskip_if_unavailable=0\n"
	want := "# Region dfw, written by MirrorCycle.\n" +
		"[rocky-releasever-BaseOS-basearch-os]\nname=rocky-releasever-BaseOS-basearch-os\nbaseurl=http://dfw.example.org/rocky/$releasever/BaseOS/$basearch/os\n" + tail +
		"[rocky]\nname=rocky\nbaseurl=http://dfw.example.org/rocky\n" + tail
	if d := cmp.Diff(want, string(files["yum/rocky.repo"])); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(string(files["yum/rocky-mirror.asc"]), "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		t.Error("rpm imports armored keys only")
	}
	o.Mirrors[0].Releases, o.Mirrors[0].Architectures = []string{"9"}, []string{"x86_64"}
	o.Signed = func(mirror, name string) bool {
		return mirror+"/"+name == "rocky/9/BaseOS/x86_64/os/repodata/repomd.xml.asc"
	}
	text := string(clientfiles.For(o)["yum/rocky.repo"])
	if one, other, _ := strings.Cut(text, "[rocky]\n"); !strings.Contains(one, "gpgcheck=0\nrepo_gpgcheck=1\n") || !strings.Contains(other, "\ngpgcheck=1\n") {
		t.Errorf("one repository signs its repomd.xml, the other its packages: %s", text)
	}
	o.Keyrings = nil
	if files := clientfiles.For(o); files["yum/rocky.repo"] != nil {
		t.Error("a file was written that trusts nothing")
	}
	o.Mirrors[0].Proof = mirrorspec.ByNothing
	if text := string(clientfiles.For(o)["yum/rocky.repo"]); !strings.Contains(text, "gpgcheck=0") || strings.Contains(text, "gpgkey") {
		t.Errorf("a mirror that proves nothing: %s", text)
	}
}
