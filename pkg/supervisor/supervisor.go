package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// stopDeadline bounds the stop of one component, and stopTotal that of
	// all: `systemctl stop` shall return within 10 s.
	stopDeadline = 5 * time.Second
	stopTotal    = 9 * time.Second
	// watchInterval is how often a component that is ready is probed: often
	// enough for a person who looks, rarely enough to cost nothing.
	watchInterval = 5 * time.Second
	// probeTimeout bounds one probe, so that one that hangs shows.
	probeTimeout = 3 * time.Second
)

// Options are what a supervisor tells others.
type Options struct {
	// Changed is called after each change of state, from several goroutines
	// one at a time. It must return soon.
	Changed func(Snapshot)
}

// Supervisor runs components. Make it with New and call Run once.
type Supervisor struct {
	parts []*part
	opts  Options

	mu         sync.Mutex // guards what follows and the status of each part
	started    time.Time
	readyAfter time.Duration

	notify sync.Mutex // makes calls of Changed one after another
}

// part is a component at run time.
type part struct {
	Component
	status Status
	ready  chan struct{} // closed at the first ready
	// ended is closed when Run has returned, will never be called, or is
	// not waited for any more; returned only in the first two cases.
	ended    chan struct{}
	returned chan struct{}
	once     sync.Once // closes ended
	cancel   context.CancelFunc
	ctx      context.Context
}

// end says that Run has returned, or will never be called.
func (p *part) end() {
	close(p.returned)
	p.abandon()
}

// abandon lets go who waits for this part to end.
func (p *part) abandon() { p.once.Do(func() { close(p.ended) }) }

// New checks the components and returns a supervisor for them. Nothing is
// started.
func New(components []Component, opts Options) (*Supervisor, error) {
	if err := check(components); err != nil {
		return nil, err
	}
	s := &Supervisor{opts: opts, started: time.Now()}
	for _, c := range components {
		p := &part{Component: c, ready: make(chan struct{}), ended: make(chan struct{}), returned: make(chan struct{})}
		p.status = Status{Name: c.Name, State: Waiting, Since: s.started, Once: c.Once, Reason: "for " + strings.Join(c.After, ", ")}
		if c.Skip != "" {
			p.status.State, p.status.Reason = Skipping, c.Skip
			close(p.ready)
			p.end()
		}
		s.parts = append(s.parts, p)
	}
	return s, nil
}

// Snapshot returns the state of all components. It is safe for concurrent
// use.
func (s *Supervisor) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := Snapshot{Started: s.started, ReadyAfter: s.readyAfter.Seconds()}
	for _, p := range s.parts {
		snap.Components = append(snap.Components, p.status)
	}
	return snap
}

// Run starts the components and blocks until ctx ends or one of them fails;
// then it stops them, dependents first, and returns the first error, which
// is nil after a stop that was asked for.
func (s *Supervisor) Run(ctx context.Context) error {
	failed := make(chan error, len(s.parts))
	starting, stopStarting := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for _, p := range s.parts {
		if p.Skip != "" {
			continue
		}
		// Not a child of ctx: the order of stopping is ours to choose.
		p.ctx, p.cancel = context.WithCancel(log.WithLogger(context.WithoutCancel(ctx), log.G(ctx).WithField("component", p.Name)))
		all.Go(func() {
			if err := s.live(starting, p); err != nil {
				failed <- err
			}
		})
	}
	var first error
	select {
	case <-ctx.Done():
	case first = <-failed:
		log.G(ctx).WithError(first).Error("a component failed, stopping")
	}
	stopStarting()
	if late := s.stop(ctx); late != nil {
		return errors.Join(first, late)
	}
	all.Wait()
	return first
}

// live is the life of one component, from waiting to having returned.
func (s *Supervisor) live(starting context.Context, p *part) error {
	defer p.end()
	for _, after := range p.After {
		select {
		case <-s.part(after).ready:
			s.set(p, func(st *Status) { st.Reason = s.waitsFor(p) })
		case <-starting.Done():
			s.set(p, func(st *Status) { st.State, st.Reason = Stopped, "never started" })
			return nil
		}
	}
	if starting.Err() != nil {
		return nil
	}
	begun := time.Now()
	s.set(p, func(st *Status) { st.State, st.Reason, st.Started = Starting, "", begun })
	probing, stopProbing := context.WithCancel(p.ctx)
	var probes sync.WaitGroup
	if !p.Once {
		probes.Go(func() { s.probe(probing, p) })
	}
	err := guard(p)
	stopProbing()
	probes.Wait()
	return s.ended(p, err)
}

// guard calls Run and makes an error of a panic.
func guard(p *part) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return p.Run(p.ctx)
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
	try := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		err := p.Ready(ctx)
		if err != nil && ctx.Err() != context.Canceled {
			s.set(p, func(st *Status) { st.LastError = err.Error() })
		}
		return err
	}
	if err := poll.Forever(ctx, try); err != nil {
		return // ctx has ended
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
		s.watch(ctx, p, try(ctx))
	}
}

// watch follows a probe of a component that has been ready.
func (s *Supervisor) watch(ctx context.Context, p *part, err error) {
	was := s.status(p).State
	switch {
	case ctx.Err() != nil:
	case err != nil && was == Ready:
		log.G(p.ctx).WithError(err).Warn("component is not ready any more")
		s.set(p, func(st *Status) { st.State = Degraded })
	case err == nil && was == Degraded:
		log.G(p.ctx).Info("component is ready again")
		s.set(p, func(st *Status) { st.State, st.LastError = Ready, "" })
	}
}

// becomeReady marks a component ready for the first time and lets go who
// waits for it.
func (s *Supervisor) becomeReady(p *part) {
	var took time.Duration
	s.set(p, func(st *Status) {
		took = time.Since(st.Started)
		st.State, st.ReadyAfter, st.LastError = Ready, took.Seconds(), ""
	})
	log.G(p.ctx).WithField("took", took.Round(time.Millisecond)).Info("ready")
	close(p.ready)
	if snap := s.Snapshot(); snap.Ready() && s.markReady() {
		log.G(context.WithoutCancel(p.ctx)).WithField("component", "kelp").WithField("took", time.Since(s.started).Round(time.Millisecond)).Info("all components are ready")
	}
}

// markReady notes when all were ready first; it reports whether that is now.
func (s *Supervisor) markReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readyAfter != 0 {
		return false
	}
	s.readyAfter = time.Since(s.started)
	return true
}

// waitsFor says whom a waiting component still waits for.
func (s *Supervisor) waitsFor(p *part) string {
	var names []string
	for _, after := range p.After {
		select {
		case <-s.part(after).ready:
		default:
			names = append(names, after)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "for " + strings.Join(names, ", ")
}

func (s *Supervisor) part(name string) *part {
	i := slices.IndexFunc(s.parts, func(p *part) bool { return p.Name == name })
	return s.parts[i] // check has seen to it that it is there
}

func (s *Supervisor) status(p *part) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.status
}

// set changes a part's status and tells Options.Changed when it did.
func (s *Supervisor) set(p *part, change func(*Status)) {
	s.mu.Lock()
	before := p.status
	change(&p.status)
	if p.status.State != before.State {
		p.status.Since = time.Now()
	}
	changed := p.status != before
	s.mu.Unlock()
	if changed && s.opts.Changed != nil {
		s.notify.Lock()
		defer s.notify.Unlock()
		s.opts.Changed(s.Snapshot())
	}
}
