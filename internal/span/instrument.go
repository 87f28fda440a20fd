package span

import (
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Instrument is made by the meter provider of the process when it is first
// used, and anew when there is another provider.
type Instrument[T any] struct {
	New func(metric.Meter) (T, error)

	mu   sync.Mutex
	from metric.MeterProvider
	made T
}

// Get returns the instrument.
func (i *Instrument[T]) Get() T {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := otel.GetMeterProvider(); p != i.from {
		made, err := i.New(p.Meter(Scope))
		if err != nil {
			otel.Handle(err)
		}
		i.from, i.made = p, made
	}
	return i.made
}
