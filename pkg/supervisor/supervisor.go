package supervisor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/containerd/log"
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
	// tellInterval is how often Options.Changed is called while somebody
	// waits, for the seconds in Snapshot.Line to go on.
	tellInterval = time.Second
)

// Options are what a supervisor tells others.
type Options struct {
	// Changed is called after each change of state, and once a second until
	// all components are ready; from several goroutines, one call at a time.
	// It must return soon.
	Changed func(Snapshot)
}

// Supervisor runs components. Make it with New and call Run once.
type Supervisor struct {
	parts  []*part
	byName map[string]*part
	opts   Options

	mu         sync.Mutex // guards what follows and the status of each part
	started    time.Time
	readyAfter time.Duration

	notify sync.Mutex // makes calls of Changed one after another
}

// part is a component at run time.
type part struct {
	Component
	status Status
	asked  time.Time       // when the probe that runs was called; zero when none does
	ctx    context.Context // of its Run; not a child of the supervisor's
	cancel context.CancelFunc
	ready  chan struct{} // closed at the first ready
	// ended is closed when Run has returned, will never be called, or is
	// not waited for any more; returned only in the first two cases.
	ended    chan struct{}
	returned chan struct{}
	once     sync.Once // closes ended
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
	s := &Supervisor{opts: opts, started: time.Now(), byName: map[string]*part{}}
	for _, c := range components {
		p := &part{Component: c, ready: make(chan struct{}), ended: make(chan struct{}), returned: make(chan struct{})}
		p.status = Status{Name: c.Name, State: Waiting, Since: s.started, Once: c.Once}
		if c.Skip != "" {
			p.status.State, p.status.Reason = Skipping, c.Skip
			close(p.ready)
			p.end()
		}
		s.parts = append(s.parts, p)
		s.byName[c.Name] = p
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
		st := p.status
		if st.State == Waiting {
			st.WaitingFor = s.waitsFor(p)
		}
		if st.State == Ready && p.Tell != nil {
			st.Note = p.Tell()
		}
		snap.Components = append(snap.Components, st)
	}
	return snap
}

// waitsFor names whom a component still waits for.
func (s *Supervisor) waitsFor(p *part) []string {
	var names []string
	for _, after := range p.After {
		select {
		case <-s.byName[after].ready:
		default:
			names = append(names, after)
		}
	}
	return names
}

// Run starts the components and blocks until ctx ends or one of them fails;
// then it stops them, dependents first, and returns the first error, which
// is nil after a stop that was asked for. Names of components that did not
// stop in time are joined to it: their goroutines still run.
func (s *Supervisor) Run(ctx context.Context) error {
	failed := make(chan failure, len(s.parts))
	starting, stopStarting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStarting()
	var all sync.WaitGroup
	for _, p := range s.parts {
		if p.Skip != "" {
			continue
		}
		// Not a child of ctx: the order of stopping is ours to choose.
		p.ctx, p.cancel = context.WithCancel(log.WithLogger(context.WithoutCancel(ctx), log.G(ctx).WithField("component", p.Name)))
		defer p.cancel()
		all.Go(func() {
			if err := s.live(starting, p); err != nil {
				failed <- failure{p, err}
			}
		})
	}
	all.Go(func() { s.tell(starting) })
	var first error
	select {
	case <-ctx.Done():
	case f := <-failed:
		// What went wrong is returned, and told once, at the end.
		log.G(f.part.ctx).Info("failed, stopping the others")
		first = f.err
	}
	stopStarting()
	if late := s.stop(ctx); late != nil {
		return errors.Join(first, late)
	}
	all.Wait()
	close(failed)
	for f := range failed {
		log.G(f.part.ctx).WithError(f.err).Warn("stopped with an error")
	}
	return first
}

// failure is what a component ended with.
type failure struct {
	part *part
	err  error
}

// tell calls Changed once a second until all components are ready.
func (s *Supervisor) tell(ctx context.Context) {
	if s.opts.Changed == nil {
		return
	}
	tick := time.NewTicker(tellInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.changed()
		if s.everReady() {
			return
		}
	}
}

func (s *Supervisor) changed() {
	if s.opts.Changed == nil {
		return
	}
	s.notify.Lock()
	defer s.notify.Unlock()
	s.opts.Changed(s.Snapshot())
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
	same := p.status.sameAs(before)
	s.mu.Unlock()
	if !same {
		s.changed()
	}
}
