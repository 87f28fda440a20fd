package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/journal"
)

func write(t *testing.T, texts ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "log")
	for _, text := range texts {
		if err := journal.Append(name, text); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func edit(t *testing.T, name string, f func(data string) string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(f(string(data))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadAfterDamage(t *testing.T) {
	all := []string{"one 1", "two", "", "four  4"}
	cases := []struct {
		name   string
		damage func(data string) string
		want   []string
		kind   error
	}{
		{"whole", func(d string) string { return d }, all, nil},
		{"last line torn", func(d string) string { return d[:len(d)-3] }, all[:3], nil},
		{"only the last newline missing", func(d string) string { return d[:len(d)-1] }, all, nil},
		{"torn in the checksum", func(d string) string { return d + "0123" }, all, nil},
		{"middle damaged", func(d string) string { return strings.Replace(d, "two", "tWo", 1) }, []string{"one 1", "", "four  4"}, nil},
		{"zeros after a power cut", func(d string) string { return d + strings.Repeat("\x00", 100) }, all, nil},
		{"a foreign line", func(d string) string { return "hello\n" + d }, all, nil},
		{"mostly damage", func(d string) string {
			return strings.NewReplacer("one", "ONE", "two", "TWO", "four", "FOUR").Replace(d)
		}, nil, fault.Corrupt},
		{"another file", func(string) string { return "hello\nworld\n" }, nil, fault.Corrupt},
		{"empty", func(string) string { return "" }, nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			name := write(t, all...)
			edit(t, name, c.damage)
			got, err := journal.Read(name)
			if !errors.Is(err, c.kind) {
				t.Fatalf("got %v, want %v", err, c.kind)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTornAnywhere cuts the file at every byte: exactly the records before the
// cut are there, and what is appended next is not lost in the torn line.
func TestTornAnywhere(t *testing.T) {
	all := []string{"first", "second\r", "third"}
	name := write(t, all...)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(name, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := journal.Append(name, "next"); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		lines := strings.Count(string(whole[:cut]), "\n")
		if cut < len(whole) && whole[cut] == '\n' {
			lines++ // all but the newline is there
		}
		want := append(all[:lines:lines], "next")
		got, err := journal.Read(name)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
		}
	}
}

// TestFirstRecordTorn: nothing came before the crash, so nothing is lost; who
// reads before it appends must not be stopped by it for ever.
func TestFirstRecordTorn(t *testing.T) {
	name := write(t, "first")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	torn := [][]byte{make([]byte, len(whole)), make([]byte, 4096)} // zeros after a power cut
	for cut := range len(whole) - 1 {
		torn = append(torn, whole[:cut])
	}
	for _, data := range torn {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := journal.Read(name); err != nil || len(got) > 0 {
			t.Errorf("%q: got %q, %v", data, got, err)
		}
	}
}

func TestNewlineIsRefused(t *testing.T) {
	name := write(t, "one")
	if err := journal.Append(name, "two\nthree"); err == nil {
		t.Error("appended a text with a newline")
	}
	if err := journal.Rewrite(name, []string{"one", "two\nthree"}); err == nil {
		t.Error("rewrote with a text with a newline")
	}
	got, err := journal.Read(name)
	if diff := cmp.Diff([]string{"one"}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestRewriteReplacesAll(t *testing.T) {
	name := write(t, "one", "two")
	for n := range 3 {
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint("new ", i))
		}
		if err := journal.Rewrite(name, want); err != nil {
			t.Fatal(err)
		}
		got, err := journal.Read(name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	if _, err := os.Stat(name + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new file is still there: %v", err)
	}
}

func TestMissingFileHasNoRecords(t *testing.T) {
	got, err := journal.Read(filepath.Join(t.TempDir(), "none"))
	if len(got) > 0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("00000000 \n"))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		before, err := journal.Read(name)
		if err != nil {
			return
		}
		if err := journal.Append(name, "next"); err != nil {
			t.Fatal(err)
		}
		after, err := journal.Read(name)
		if err == nil && (len(after) == 0 || after[len(after)-1] != "next" || !cmp.Equal(append(before, "next"), after)) {
			t.Errorf("%q: %q became %q", data, before, after)
		}
	})
}
