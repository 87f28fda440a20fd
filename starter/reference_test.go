package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mirrorcycle/activities"
	"mirrorcycle/internal/doctor"
	"mirrorcycle/workflows"
)

var update = flag.Bool("update", false, "rewrite docs/commands.md and golden files")

func current(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not current (go test ./starter -run Reference -update):\n%s", name, diff)
	}
}

// TestReferenceOfCommands keeps docs/commands.md what the commands say of themselves.
func TestReferenceOfCommands(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Commands of starter\n\nWritten by `go test ./starter -run Reference -update` from the commands themselves. Every command takes `--json` and `--help`.\n" +
		"Exit statuses: 0 done, 1 failed, 2 usage or spec, 3 partly, 4 held, 130 interrupted.\n")
	describeAll(&b, newRoot())
	current(t, "../docs/commands.md", b.Bytes())
}

func describeAll(b *bytes.Buffer, c *cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Hidden {
			continue
		}
		if sub.Runnable() {
			text := sub.Long
			if text == "" {
				text = sub.Short + "."
			}
			fmt.Fprintf(b, "\n## %s\n\n%s\n", strings.TrimSuffix(sub.UseLine(), " [flags]"), text)
			first := true
			sub.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if first {
					b.WriteString("\n| flag | meaning |\n|---|---|\n")
					first = false
				}
				name, usage := pflag.UnquoteUsage(f)
				flag := "--" + f.Name
				if f.Shorthand != "" {
					flag = "-" + f.Shorthand + ", " + flag
				}
				if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
					usage += " (default " + f.DefValue + ")"
				}
				fmt.Fprintf(b, "| `%s` | %s |\n", strings.TrimSpace(flag+" "+name), strings.ReplaceAll(usage, "|", "\\|"))
			})
		}
		describeAll(b, sub)
	}
}

// TestReferenceOfJSON fixes the fields of what --json prints: they are only
// ever added to, unless schemaVersion is raised.
func TestReferenceOfJSON(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version %d\n", schemaVersion)
	for _, v := range []struct {
		command string
		value   any
	}{
		{"status: mirrors[]", mirrorStatus{}},
		{"releases: generations[]", activities.GenerationSummary{}},
		{"why: why", activities.Why{}},
		{"plan: plans[]", activities.PlanView{}},
		{"verify: verified.<mirror>", activities.Verified{}},
		{"run, up: cycle", workflows.CycleResult{}},
		{"doctor: findings[]", doctor.Finding{}},
	} {
		fmt.Fprintf(&b, "\n%s\n", v.command)
		fields(&b, reflect.TypeOf(v.value), "  ")
	}
	current(t, "testdata/json.golden", b.Bytes())
}

// fields lists a type's fields as JSON names them, with their types.
func fields(b *bytes.Buffer, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, list := f.Type, ""
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice {
				list += "[]"
			}
			inner = inner.Elem()
		}
		plain := inner.Kind() != reflect.Struct || inner.String() == "time.Time"
		switch {
		case f.Anonymous && name == "":
			fields(b, inner, indent)
		case name == "-" || !f.IsExported():
		case plain:
			kind := inner.Kind().String()
			if kind == "struct" {
				kind = "time"
			}
			fmt.Fprintf(b, "%s%s %s%s\n", indent, name, list, kind)
		default:
			fmt.Fprintf(b, "%s%s %s\n", indent, name, list+"object")
			fields(b, inner, indent+"  ")
		}
	}
}
