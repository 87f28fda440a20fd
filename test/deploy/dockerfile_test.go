package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorcycle/internal/lab"
	"mirrorcycle/internal/rootlab"
)

// stage is what a stage of the Dockerfile says, in order.
type stage struct {
	run   []string
	env   []string
	user  string
	from  string
	built [][]string // what each COPY --from=build takes, and where it puts that, last
}

var continued = regexp.MustCompile(`\\\n\s*`)

func stages(t *testing.T) map[string]*stage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(lab.Root(), "deploy/docker/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*stage{}
	var now *stage
	for line := range strings.Lines(continued.ReplaceAllString(string(data), "")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "FROM":
			from, name, _ := strings.Cut(rest, " AS ")
			now = &stage{from: from}
			out[name] = now
		case "RUN":
			now.run = append(now.run, rest)
		case "ENV":
			now.env = append(now.env, rest)
		case "USER":
			now.user = rest
		case "COPY":
			if f := strings.Fields(rest); f[0] == "--from=build" {
				now.built = append(now.built, f[1:])
			}
		}
	}
	return out
}

// TestDockerfile runs the steps of the worker's image in a Debian 12 root, as a
// container engine would, and then the programs as the image's user.
func TestDockerfile(t *testing.T) {
	lab.Need(t, "a root of its own needs root's rights", os.Geteuid() == 0)
	all := stages(t)
	image := all["mirrorcycle"]
	if image == nil || image.from != "debian:12-slim" || image.user == "" || strings.HasPrefix(image.user, "0") {
		t.Fatalf("the stage mirrorcycle is %+v", image)
	}
	lower, top := rootlab.Root(t, rootlab.Debian12), t.TempDir()
	for _, dir := range []string{"upper", "work", "root", "bin"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// CGO_ENABLED=0 and the flags are those of the stage build.
	made := func(text string) string { return strings.ReplaceAll(text, "/out/", filepath.Join(top, "bin")+"/") }
	build := exec.Command("sh", "-euc", made(strings.Join(all["build"].run[1:], "\n")))
	build.Dir = lab.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var copies strings.Builder
	for _, c := range image.built {
		how := "cp -rT"
		if strings.HasSuffix(c[len(c)-1], "/") {
			how = "cp"
		}
		fmt.Fprintf(&copies, "%s %s root%s\n", how, made(strings.Join(c[:len(c)-1], " ")), c[len(c)-1])
	}
	script := fmt.Sprintf(`cd %q
mount -t overlay overlay -o lowerdir=%q,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --bind /dev root/dev
cp -L /etc/resolv.conf root/etc/resolv.conf 2>/dev/null || true
chroot root /bin/sh -euc %q
%schroot --userspec=%s root /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin %s /bin/sh -euc 'starter version && worker --help 2>&1; id -u; cd /usr/share/doc/mirrorcycle; head -n 3 LICENSE; wc -c THIRD-PARTY-NOTICES starter.cdx.json worker.cdx.json; touch /usr/local/bin/x 2>/dev/null && echo writable; true'
`, top, lower, "export DEBIAN_FRONTEND=noninteractive; "+strings.Join(image.run, "\n"), copies.String(), image.user, strings.Join(image.env, " "))
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "bash", "-euc", script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	uid, _, _ := strings.Cut(image.user, ":")
	if text := string(out); !strings.Contains(text, "\n"+uid+"\n") || !strings.Contains(text, "-roles") || strings.Contains(text, "writable") || !strings.Contains(text, "Apache License") {
		t.Errorf("the image's programs say\n%s", text)
	}
}
