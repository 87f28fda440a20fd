package afsadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
)

// Make does the steps that vos and fs can do, one after another, and returns
// those that are left to a person. did is called with each step that is done.
func (c Cell) Make(ctx context.Context, want []Volume, did func(Step)) ([]Step, error) {
	for {
		steps, err := c.Missing(ctx, want)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(steps, func(s Step) bool { return s.Tool != Hand })
		if i < 0 {
			return steps, nil
		}
		step := steps[i]
		said := c.do(ctx, step)
		if steps, err = c.Missing(ctx, want); err != nil {
			return nil, errors.Join(said, err)
		}
		if slices.ContainsFunc(steps, func(s Step) bool { return s.Volume == step.Volume && s.Missing == step.Missing }) {
			if said == nil {
				said = &fault.Error{Kind: fault.Unavailable, Op: "afsadmin: run", Subject: step.Command[0], Err: errors.New("it said that all is well, and nothing changed")}
			}
			return steps, fmt.Errorf("afsadmin: %s: %s: %w", step.Volume, strings.Join(step.Command, " "), said)
		}
		did(step)
	}
}

// Missing looks and plans.
func (c Cell) Missing(ctx context.Context, want []Volume) ([]Step, error) {
	have, err := c.Look(ctx, want)
	if err != nil {
		return nil, err
	}
	return Plan(want, have), nil
}

func (c Cell) do(ctx context.Context, s Step) error {
	var err error
	if s.Tool == Vos {
		_, err = c.Change(ctx, s.Command[1:]...)
	} else {
		_, err = c.Run(ctx, s.Command...)
	}
	return err
}
