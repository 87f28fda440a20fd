package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorcycle/internal/build"
	"mirrorcycle/internal/rootlab"
	"mirrorcycle/internal/sandbox"
)

func request(t *testing.T, sdist, digest string) build.Request {
	t.Helper()
	s, err := sandbox.Open(sandbox.Config{Mode: sandbox.None})
	if err != nil {
		t.Fatal(err)
	}
	return build.Request{Sandbox: s, Platform: rootlab.Platforms[rootlab.Debian12], SDist: sdist, SHA256: digest, Name: "demo", Version: "1", Dir: t.TempDir()}
}

// refused is a request that fails before anything of it runs, as a class of its own.
func refused(t *testing.T, r build.Request, class build.Class) {
	t.Helper()
	res, err := build.Build(t.Context(), r)
	if err != nil || res.Class != class || res.Message == "" {
		t.Errorf("%s: %+v, %v, want class %s", r.SDist, res, err, class)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, build.LogName)); err != nil {
		t.Error(err)
	}
}

func TestASourceThatIsRottenOrMissing(t *testing.T) {
	sdist, digest := rootlab.SDist(t, "demo", "1", nil)
	refused(t, request(t, sdist, strings.Repeat("0", 64)), build.Source)
	refused(t, request(t, sdist+".gone.tar.gz", digest), build.Source)
}

func TestAnSDistThatCannotBeReadIsAFailureOfItsOwn(t *testing.T) {
	sdist, digest := rootlab.SDist(t, "demo", "1", map[string]string{"a": strings.Repeat("x", 5000)})
	r := request(t, sdist, digest)
	other := filepath.Join(t.TempDir(), "demo-1.zip") // a tar, by another name
	if err := os.Rename(sdist, other); err != nil {
		t.Fatal(err)
	}
	r.SDist = other
	res, err := build.Build(t.Context(), r)
	if err != nil || res.Class != build.BadSDist {
		t.Fatalf("%+v, %v", res, err)
	}
	if log, err := os.ReadFile(filepath.Join(r.Dir, res.Log)); err != nil || !strings.Contains(string(log), "sdist: ") {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestANameThatPipWouldReadOtherwiseIsRefused(t *testing.T) {
	for _, name := range []string{"-r.tar.gz", "a[extra].tar.gz", "a@b-1.tar.gz"} {
		refused(t, request(t, filepath.Join(t.TempDir(), name), ""), build.BadSDist)
	}
}
