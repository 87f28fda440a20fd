package mirrorspec_test

import (
	"strings"
	"testing"

	"mirrorcycle/mirrorspec"
)

func TestKeysOfYum(t *testing.T) {
	const upstream, keyring = `upstream = ["https://dl.example.org/pub"]` + "\n", `keyring = "/etc/keys.asc"` + "\n"
	for name, tt := range map[string]struct{ keys, want string }{
		"one repository":               {upstream + keyring, ""},
		"variables with values":        {upstream + keyring + `repos = ["$releasever/$basearch/os"]` + "\n" + `releasever = ["9"]` + "\n" + `architectures = ["x86_64"]`, ""},
		"nothing is proved":            {upstream + `proof = "none"`, ""},
		"a metalink with a query":      {`metalink = "https://mirrors.example.org/metalink?repo=epel-9&arch=x86_64"` + "\n" + keyring, ""},
		"no upstream":                  {keyring, "mirror.upstream: is missing"},
		"no keyring":                   {upstream, "mirror.keyring: is missing"},
		"a keyring for nothing":        {upstream + keyring + `proof = "none"`, `mirror.keyring: has no meaning with proof = "none", remove one of the two`},
		"a proof nobody knows":         {upstream + keyring + `proof = "rpms"`, "mirror.proof:"},
		"two places":                   {upstream + keyring + `mirrorlist = "https://mirrors.example.org/list"`, "mirror.mirrorlist: stands beside upstream"},
		"a list for two repositories":  {keyring + `mirrorlist = "https://mirrors.example.org/list"` + "\n" + `repos = ["a", "b"]`, "mirror.repos: has several directories"},
		"a variable without values":    {upstream + keyring + `repos = ["$basearch/os"]`, `mirror.architectures: is missing: $basearch stands for it, write architectures = ["x86_64"]`},
		"values without a variable":    {upstream + keyring + `architectures = ["x86_64"]`, "mirror.architectures: says nothing: no path has $basearch in it"},
		"a repository above upstream":  {upstream + keyring + `repos = ["../other"]`, "mirror.repos"},
		"a login in the metalink":      {`metalink = "https://me:secret@mirrors.example.org/m?repo=a"` + "\n" + keyring, "mirror.metalink: holds credentials"},
		"filters":                      {upstream + keyring + "packages = [\"nginx*\"]\nexclude = [\"nginx-debug\"]\nkeep-latest = 2\nsources = false\ndebuginfo = false", ""},
		"a glob nobody can match":      {upstream + keyring + `packages = ["[a"]`, `mirror.packages: "[a" is not the name of a package or a glob`},
		"a filter of what is signed":   {upstream + keyring + "proof = \"repomd\"\nkeep-latest = 2", "mirror.proof: asks for a signed repomd.xml"},
		"a key of apt":                 {upstream + keyring + `suites = ["noble"]`, `mirror.suites: has no meaning for kind "yum", only for apt`},
		"${basearch} is the same name": {upstream + keyring + `repos = ["${basearch}/os"]` + "\n" + `architectures = ["x86_64"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := mirrorspec.Parse("f", []byte("[cycle]\nname = \"a\"\nevery = \"2h\"\n[storage]\nname = \"main\"\nroot = \"/srv/t\"\n"+
				"[[region]]\nname = \"dfw\"\ndir = \"/srv/dfw\"\nurl = \"http://mirror.example.org\"\n[[mirror]]\nname = \"rpms\"\nkind = \"yum\"\n"+tt.keys))
			got := ""
			for _, f := range faults {
				got += f.Error() + "\n"
			}
			if tt.want == "" && got != "" || tt.want != "" && (len(faults) != 1 || !strings.Contains(got, tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
