package process

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestRestart(t *testing.T) {
	t.Parallel()
	failed, late := errors.New("it failed"), errors.New("it is late")
	exit := fmt.Errorf("api: %w", ErrExit)
	for name, c := range map[string]struct {
		asked   bool
		end     error // the cause of the outer context's end; nil leaves it alone
		err     error
		again   bool
		problem error
	}{
		"nobody asks":                          {},
		"a component fails":                    {err: failed, problem: failed},
		"upstream ends the process":            {end: exit, problem: ErrExit},
		"a stop":                               {end: context.Canceled},
		"asked":                                {asked: true, again: true},
		"asked, and one is late":               {asked: true, err: late, again: true},
		"asked, and upstream ends the process": {asked: true, end: exit, again: true},
		"asked, both":                          {asked: true, end: exit, err: late, again: true},
		"asked, and told to stop":              {asked: true, end: context.Canceled},
		"asked, told to stop, and a component fails": {asked: true, end: context.Canceled, err: failed, problem: failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			inner, r := NewRestart(ctx)
			if c.asked {
				if inner.Err() != nil {
					t.Error("the components stop before anybody has asked")
				}
				r.Ask()
				if inner.Err() == nil {
					t.Error("the components do not stop")
				}
			}
			if c.end != nil {
				cancel(c.end)
			}
			again, err := r.Again(ctx, c.err)
			if again != c.again || !errors.Is(err, c.problem) || (err == nil) != (c.problem == nil) {
				t.Errorf("again %v with %v, want %v with %v", again, err, c.again, c.problem)
			}
		})
	}
}
