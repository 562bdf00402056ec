package server

import (
	"context"
	"testing"
	"time"
)

func TestAServerStartsAnewWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead []time.Duration // at each look
		want  bool
	}{
		"steady":              {[]time.Duration{0, 0, time.Second, -time.Second}, false},
		"forward, a year":     {[]time.Duration{0, 365 * 24 * time.Hour}, false},
		"back, a little":      {[]time.Duration{0, -30 * time.Second}, false},
		"back, an hour":       {[]time.Duration{0, -time.Hour}, true},
		"forward and back":    {[]time.Duration{0, time.Hour, 0}, true},
		"back in small steps": {[]time.Duration{0, -40 * time.Second, -80 * time.Second}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			looks, restarts := 0, 0
			ahead := func() time.Duration {
				now := c.ahead[min(looks, len(c.ahead)-1)]
				if looks++; looks > len(c.ahead)+1 {
					cancel()
				}
				return now
			}
			err := (&clock{ahead: ahead}).watch(ctx, time.Millisecond, func() {
				restarts++
				cancel()
			})
			if err != nil || (restarts == 1) != c.want {
				t.Errorf("%d restarts, %v; wanted one: %v", restarts, err, c.want)
			}
		})
	}
}

func TestTheClockIsNotAheadOfItself(t *testing.T) {
	t.Parallel()
	if c := newClock(); c.wentBack(t.Context()) || c.ahead().Abs() > clockLeeway/2 {
		t.Errorf("it is by %s", c.ahead())
	}
}
