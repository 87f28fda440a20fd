package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/lab"
)

// TestReleasesAreReproducible builds a release in two directories: the same
// bytes come out, and their sums are signed by the key that was given.
func TestReleasesAreReproducible(t *testing.T) {
	_, err := exec.LookPath("ssh-keygen")
	lab.Need(t, "ssh-keygen is not installed", err == nil)
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	for _, part := range []string{"activities", "deploy", "docs", "internal", "mirrorspec", "starter", "worker", "workflows"} {
		if err := os.CopyFS(filepath.Join(copied, part), os.DirFS(filepath.Join(lab.Root(), part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
		data, err := os.ReadFile(filepath.Join(lab.Root(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(dir, "key")
	command(t, dir, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	command(t, lab.Root(), nil, "./deploy/release", here, key)
	command(t, copied, nil, "./deploy/release", there)
	sums := func(dir string) string {
		data, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if diff := cmp.Diff(sums(here), sums(there)); diff != "" || strings.Count(sums(here), "\n") != 6 {
		t.Errorf("two builds differ:\n%s", diff)
	}
	command(t, here, nil, "sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS")
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers := filepath.Join(dir, "signers")
	if err := os.WriteFile(signers, append([]byte("release "), public...), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := []string{"ssh-keygen", "-Y", "verify", "-f", signers, "-I", "release", "-n", "mirrorcycle-release", "-s", "SHA256SUMS.sig"}
	command(t, here, []byte(sums(here)), verify...)
	cmd := exec.CommandContext(t.Context(), verify[0], verify[1:]...)
	cmd.Dir, cmd.Stdin = here, strings.NewReader(sums(here)+"x")
	if err := cmd.Run(); err == nil {
		t.Error("the signature holds for other sums")
	}
}

func command(t *testing.T, dir string, in []byte, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}
