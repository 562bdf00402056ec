package hosts

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// interval is the pause between two looks at a condition.
const interval = 50 * time.Millisecond

// until tries until try returns nil or ctx ends; the error then holds try's last.
func until(ctx context.Context, try func(context.Context) error) error {
	started := time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w; last: %w", time.Since(started).Round(time.Millisecond), ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Until tries until try returns nil, for at most limit.
func Until(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return until(ctx, try)
}

// Eventually ends the test when try does not return nil within limit. What
// names the condition for whoever reads the failure.
func Eventually(t testing.TB, limit time.Duration, what string, try func(context.Context) error) {
	t.Helper()
	if err := Until(t.Context(), limit, try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
