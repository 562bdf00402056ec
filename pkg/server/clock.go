package server

import (
	"context"
	"sync"
	"time"

	"github.com/containerd/log"
)

const (
	// clockEvery is how often the clock is looked at.
	clockEvery = 5 * time.Second
	// clockLeeway is how far the clock may go back before it matters: as far as
	// the API server lets a token be from the future.
	clockLeeway = time.Minute
)

// clock tells when the clock goes back. Tokens that the controllers have asked for
// are of a time that is yet to come then, the API server refuses them, and nobody
// asks for others before they have ended: for as long as the clock went back no
// controller would work, and one that is just starting fails. So the server starts
// anew, which takes seconds, in which pods go on.
type clock struct {
	ahead func() time.Duration // how much more time the clock says has passed than really has

	mu   sync.Mutex
	most time.Duration // the most that it has been ahead
}

// newClock compares the clock with the one that cannot be set, from now on.
func newClock() *clock {
	began := time.Now()
	return &clock{ahead: func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(began.Round(0)) - now.Sub(began)
	}}
}

// wentBack says whether the clock is behind where it has been, and warns of it.
func (c *clock) wentBack(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.ahead()
	c.most = max(c.most, now)
	back := c.most - now
	if back <= clockLeeway {
		return false
	}
	log.G(ctx).WithField("by", back.Round(time.Second)).Warn("the clock went back: tokens that were issued are not valid yet; this server starts anew")
	return true
}

// watch calls restart once, when the clock has gone back.
func (c *clock) watch(ctx context.Context, every time.Duration, restart func()) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if c.wentBack(ctx) {
			restart()
			<-ctx.Done()
			return nil
		}
	}
}
