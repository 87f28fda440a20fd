package afsadmin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/afsadmin"
)

// No cell of the tests has a client in the kernel, which fs needs: what it prints is from its manual pages.
func TestParseFS(t *testing.T) {
	rights, ok := afsadmin.ParseACL([]byte("Access list for /afs/x is\nNormal rights:\n  system:administrators rlidwka\n  service.mirror rlidwk\nNegative rights:\n  pat rl\n"))
	if diff := cmp.Diff(map[string]string{"system:administrators": "rlidwka", "service.mirror": "rlidwk"}, rights); !ok || diff != "" {
		t.Error(ok, diff)
	}
	if _, ok := afsadmin.ParseACL([]byte("fs: Invalid argument; it is possible that /afs/x is not in AFS.\n")); ok {
		t.Error("an error was taken for an access list")
	}
	for in, want := range map[string]string{
		"'/afs/x' is a mount point for volume '#mirror.debian'\n":             "mirror.debian",
		"'/afs/x' is a mount point for volume '%mirror.debian.'\n":            "mirror.debian",
		"'/afs/x' is a mount point for volume '#example.org:mirror.debian'\n": "mirror.debian",
		"'/afs/x' is not a mount point.\n":                                    "",
		"'/afs/x' is a mount point for volume ''\n":                           "",
	} {
		if got := afsadmin.ParseMount([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParseFS(f *testing.F) {
	f.Add("Access list for /afs/x is\nNormal rights:\n  a rl\nNegative rights:\n  b rl\n")
	f.Add("'/afs/x' is a mount point for volume '#example.org:mirror.debian.'\n")
	f.Fuzz(func(t *testing.T, text string) {
		afsadmin.ParseMount([]byte(text))
		if rights, ok := afsadmin.ParseACL([]byte(text)); !ok && len(rights) > 0 {
			t.Errorf("rights %v without a list", rights)
		}
	})
}
