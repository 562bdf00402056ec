package balancer

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/containerd/log"
)

// check asks every server for its health, side by side, until ctx ends.
func (b *Balancer) check(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.checkOnce(ctx)
	}
}

// checkOnce asks the servers, and former ones while none of the servers is well.
func (b *Balancer) checkOnce(ctx context.Context) {
	b.mu.Lock()
	servers := slices.Clone(b.servers)
	b.mu.Unlock()
	b.checkAll(ctx, servers)

	b.mu.Lock()
	former := slices.Clone(b.former)
	if slices.ContainsFunc(b.servers, (*server).well) {
		former = nil
	}
	b.mu.Unlock()
	b.checkAll(ctx, former)
}

func (b *Balancer) checkAll(ctx context.Context, servers []*server) {
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			one, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			err := b.opts.Check(one, s.address)
			if ctx.Err() == nil {
				closeAll(b.note(ctx, s, err))
			}
		})
	}
	all.Wait()
}

// note counts a check and returns the connections to close: those of a server
// that has gone. One that comes back takes none from the others.
func (b *Balancer) note(ctx context.Context, s *server, err error) []net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, first := s.well(), !s.known
	s.known = true
	entry := log.G(ctx).WithField("server", s.address)
	switch {
	case err == nil:
		s.failed = 0
	case first: // one that has never answered has nothing to lose
		s.failed = failures
		entry.WithError(err).Debug("a server does not answer yet")
		return s.take()
	default:
		s.failed++
	}
	switch {
	case before && !s.well():
		entry.WithError(err).Warn("a server has stopped answering; its connections move to others")
		return s.take()
	case !before && s.well():
		entry.Info("a server answers again")
	}
	return nil
}

// State is how one server is.
type State struct {
	Server      string
	Well        bool
	Connections int // that go to it
}

// States are those of the servers that there are now.
func (b *Balancer) States() []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	var states []State
	for _, s := range b.servers {
		// Each connection is noted with both of its ends.
		states = append(states, State{Server: s.address, Well: s.well(), Connections: len(s.conns) / 2})
	}
	return states
}
