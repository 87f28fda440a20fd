package activities

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"go.temporal.io/sdk/temporal"

	"mirrorcycle/internal/fault"
)

// TestEveryKindIsDecided reads the kinds from their source: a new one must be
// given a place in the table of what is worth another attempt.
func TestEveryKindIsDecided(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../internal/fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Kind" {
			return true
		}
		n++
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if _, decided := retryable[fault.Kind(kind)]; err != nil || !decided {
			t.Errorf("%s: nobody decided whether it is worth another attempt", kind)
		}
		return true
	})
	if n != len(retryable) || n < 10 {
		t.Errorf("%d kinds, %d decisions", n, len(retryable))
	}
}

func TestTranslate(t *testing.T) {
	cases := map[string]struct {
		err   error
		kind  string
		retry bool
	}{
		"a passing failure": {&fault.Error{Kind: fault.Unavailable, Op: "fetch: get", Subject: "http://x.example.org"}, "unavailable", true},
		"a wrong signature": {fmt.Errorf("apt: %w", &fault.Error{Kind: fault.Unproved, Op: "apt: verify"}), "unproved", false},
		"a fenced run":      {&fault.Error{Kind: fault.Fenced, Op: "tree: write"}, "fenced", false},
		"a full disk":       {&fault.Error{Kind: fault.NoSpace, Op: "tree: write"}, "no-space", true},
		"something unknown": {errors.New("?"), "", true},
		"a stopping worker": {fmt.Errorf("transfer: %w", context.Canceled), "", true},
	}
	for name, c := range cases {
		var app *temporal.ApplicationError
		if !errors.As(translate(c.err), &app) {
			t.Fatalf("%s: %v", name, translate(c.err))
		}
		if app.Type() != c.kind || app.NonRetryable() == c.retry {
			t.Errorf("%s: type %q, retry %v", name, app.Type(), !app.NonRetryable())
		}
		if kind, text := FaultOf(app); kind != c.kind || text != c.err.Error() {
			t.Errorf("%s: read back as %q %q", name, kind, text)
		}
		if !errors.Is(translate(translate(c.err)), c.err) {
			t.Errorf("%s: translated twice, the cause is lost", name)
		}
	}
	if translate(nil) != nil {
		t.Error("no error became one")
	}
}
