package service

import (
	"context"

	"go.temporal.io/sdk/interceptor"

	"mirrorcycle/activities"
)

// permitting refuses activities whose input asks for more than the worker's
// configuration allows, before they begin.
type permitting struct {
	interceptor.WorkerInterceptorBase
	permit activities.Permit
}

func (p *permitting) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &permitted{interceptor.ActivityInboundInterceptorBase{Next: next}, p.permit}
}

type permitted struct {
	interceptor.ActivityInboundInterceptorBase
	permit activities.Permit
}

func (p *permitted) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	for _, arg := range in.Args {
		if err := p.permit.Check(arg); err != nil {
			return nil, err
		}
	}
	return p.Next.ExecuteActivity(ctx, in)
}
