package poll

import (
	"context"
	"fmt"
	"time"
)

// Interval is the pause between two tries: short enough that nobody notices
// it in a start of two seconds, long enough to cost nothing.
const Interval = 50 * time.Millisecond

// Until calls try every Interval until it returns nil. It gives up after
// limit, or when ctx ends, with an error that holds the last one of try.
func Until(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return Forever(ctx, try)
}

// Forever is Until without a limit of its own: only ctx ends it.
func Forever(ctx context.Context, try func(context.Context) error) error {
	started := time.Now()
	tick := time.NewTicker(Interval)
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

// Pause returns after d, or when ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
