package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// live is the life of one component, from waiting to having returned.
// starting ends when nothing is to be started any more.
func (s *Supervisor) live(starting context.Context, p *part) error {
	defer p.end()
	for _, after := range p.After {
		select {
		case <-s.byName[after].ready:
		case <-starting.Done():
		}
	}
	if starting.Err() != nil {
		s.set(p, func(st *Status) { st.State, st.Reason = Stopped, "never started" })
		return nil
	}
	s.set(p, func(st *Status) { st.State, st.Started = Starting, time.Now() })
	probing, stopProbing := context.WithCancel(p.ctx)
	defer stopProbing()
	var probes sync.WaitGroup
	if !p.Once {
		probes.Go(func() { s.probe(probing, p) })
	}
	var err error
	// The label is inherited by all goroutines that come of this one: profiles
	// tell what each component costs.
	pprof.Do(p.ctx, pprof.Labels("component", p.Name), func(ctx context.Context) { err = guard(ctx, p.Run) })
	stopProbing()
	probes.Wait()
	return s.ended(p, err)
}

// guard calls f and makes an error of a panic.
func guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f(ctx)
}

// ended decides what it means that Run has returned.
func (s *Supervisor) ended(p *part, err error) error {
	stopping := p.ctx.Err() != nil
	switch {
	case err == nil && p.Once && !stopping:
		s.becomeReady(p)
		return nil
	case err == nil && !stopping:
		err = errors.New("ended by itself")
	case stopping && (err == nil || errors.Is(err, context.Canceled)):
		s.set(p, func(st *Status) { st.State, st.LastError = Stopped, "" })
		return nil
	}
	s.set(p, func(st *Status) { st.State, st.LastError = Failed, err.Error() })
	return fmt.Errorf("%s: %w", p.Name, err)
}

// probe makes a component ready when its probe first succeeds, and goes on
// to tell whether it still does.
func (s *Supervisor) probe(ctx context.Context, p *part) {
	if p.Ready == nil {
		s.becomeReady(p)
		return
	}
	if err := poll.Forever(ctx, func(ctx context.Context) error { return s.try(ctx, p) }); err != nil || ctx.Err() != nil {
		return
	}
	s.becomeReady(p)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.watch(ctx, p, s.try(ctx, p))
	}
}

// try probes once and keeps the error, unless it comes of being told to end.
func (s *Supervisor) try(ctx context.Context, p *part) error {
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s.asking(p, time.Now())
	err := guard(limited, p.Ready)
	s.asking(p, time.Time{})
	if err != nil && ctx.Err() == nil {
		s.set(p, func(st *Status) { st.LastError = err.Error() })
	}
	return err
}

// watch follows a probe of a component that has been ready.
func (s *Supervisor) watch(ctx context.Context, p *part, err error) {
	was := s.status(p).State
	switch {
	case ctx.Err() != nil:
	case err != nil && was == Ready:
		log.G(p.ctx).WithError(err).Warn("not ready any more")
		s.set(p, func(st *Status) { st.State = Degraded; st.Lapses++ })
	case err == nil && was == Degraded:
		log.G(p.ctx).WithField("took", time.Since(s.status(p).Since).Round(time.Second)).Info("ready again")
		s.set(p, func(st *Status) { st.State, st.LastError = Ready, "" })
	}
}

// becomeReady marks a component ready for the first time and lets go who
// waits for it.
func (s *Supervisor) becomeReady(p *part) {
	var took time.Duration
	s.mu.Lock()
	now := time.Now()
	took = now.Sub(p.status.Started)
	p.status.State, p.status.Since, p.status.ReadyAfter, p.status.LastError = Ready, now, took.Seconds(), ""
	s.mu.Unlock()
	what := "ready"
	if p.Once {
		what = "done"
	}
	log.G(p.ctx).WithField("took", took.Round(time.Millisecond)).Info(what)
	close(p.ready)
	if all, first := s.allReady(); first {
		log.G(p.ctx).WithField("component", "kelp").WithField("took", all.Round(time.Millisecond)).Info("all components are ready")
	}
	s.changed()
}

// allReady notes when all were ready first; it reports how long that took
// and whether it is now.
func (s *Supervisor) allReady() (time.Duration, bool) {
	ready := s.Snapshot().Ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ready || s.readyAfter != 0 {
		return s.readyAfter, false
	}
	s.readyAfter = max(time.Since(s.started), 1) // 0 says not yet
	return s.readyAfter, true
}

func (s *Supervisor) everReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readyAfter != 0
}
