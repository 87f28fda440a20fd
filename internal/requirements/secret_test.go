package requirements_test

import (
	"strings"
	"testing"

	"mirrorcycle/internal/requirements"
)

// TestNoSecretIsRead: lines with a secret in every place where one can stand.
// Neither the notes, nor what is read, nor what is written of it has it.
func TestNoSecretIsRead(t *testing.T) {
	const secret = "hunter2"
	lines := []string{"# hunter2", "fine>=1 # hunter2", "--index-url https://user:hunter2@example.org/simple", "--index-url=https://user:hunter2@example.org/simple",
		"-ihttps://hunter2@example.org/simple", "--hunter2", "-r https://hunter2@example.org/f", "a @ https://user:hunter2@example.org/a.zip",
		"b @ git+https://hunter2@example.org/b@v1#egg=b", "c @ https://example.org/c.zip?token=hunter2 ; python_version>'3'", "d @ https://u:hunt/er2hunter2@example.org/d",
		"e @ user:hunter2@example.org/e", "f @ ${hunter2}", "https://user:hunter2@example.org/x.whl", "PASSWORD=hunter2", "g; hunter2 == 'x'", "h; python_version > '3' hunter2",
		"i[hunter2!]", "j>=hunter2!", "k @ https://example.org/k hunter2", "l; python_version hunter2 '3'", "m --global-option=hunter2",
		"n @ https://%zz:hunter2@example.org/", "o @ https://example.org/o#hunter2", "p", "q", "r", "s", "t", "u"}
	all, notes := read(t, strings.Join(lines, "\n"))
	if len(all) < 15 || len(notes) < 10 {
		t.Fatalf("%d requirements and %d notes", len(all), len(notes))
	}
	if text := string(requirements.Text(all)); strings.Contains(text, secret) || !strings.Contains(text, "b @ git+https://example.org/b@v1\n") {
		t.Error(text)
	}
	for _, n := range notes {
		if strings.Contains(n.String(), secret) {
			t.Error(n)
		}
	}
	if _, _, err := requirements.ParseFile("f", []byte("https://user:hunter2@example.org/x.whl\nPASSWORD=hunter2\n")); err == nil || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}
