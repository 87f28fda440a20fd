package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"go.opentelemetry.io/otel/trace"
)

type sameKey struct{}

// Same makes the next span of ctx's trace one and the same for every process
// that starts it with this key. A workflow's span outlives workers: who goes on
// with the workflow ends the span that the steps of both belong to.
func Same(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, sameKey{}, key)
}

// ids makes the IDs of traces and spans.
type ids struct{}

func (g ids) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	if key, ok := ctx.Value(sameKey{}).(string); ok {
		sum := sha256.Sum256([]byte("trace " + key))
		copy(t[:], sum[:])
	} else {
		fill(t[:])
	}
	return t, g.NewSpanID(ctx, t)
}

func (ids) NewSpanID(ctx context.Context, t trace.TraceID) (s trace.SpanID) {
	if key, ok := ctx.Value(sameKey{}).(string); ok {
		sum := sha256.Sum256(append(t[:], key...))
		copy(s[:], sum[:])
		return s
	}
	fill(s[:])
	return s
}

// fill never makes the ID of all zeros, which means none.
func fill(b []byte) {
	_, _ = rand.Read(b) // never fails, see its documentation
	b[0] |= 1
}
