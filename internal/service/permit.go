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
	renew  func() activities.Permit
}

func (p *permitting) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &permitted{interceptor.ActivityInboundInterceptorBase{Next: next}, p}
}

type permitted struct {
	interceptor.ActivityInboundInterceptorBase
	*permitting
}

func (p *permitted) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	for _, arg := range in.Args {
		err := p.permit.Check(arg)
		if err != nil && p.renew != nil {
			err = p.renew().Check(arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return p.Next.ExecuteActivity(ctx, in)
}
