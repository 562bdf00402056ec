package toggle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/internal/latest"
)

// Switch is on or off. It is safe for concurrent use.
type Switch struct{ on *latest.Value[bool] }

// New returns a switch.
func New(on bool) *Switch { return &Switch{latest.Of(on)} }

// Set turns it.
func (s *Switch) Set(on bool) {
	if s.On() != on {
		s.on.Set(on)
	}
}

// On says how it is turned.
func (s *Switch) On() bool {
	on, _, _ := s.on.Peek()
	return on
}

// Run makes of a component's Run one that runs it while the switch is on, and
// off, unless it is nil, whenever it is or becomes off. Run has to work more than
// once.
func (s *Switch) Run(run, off func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			on, _, changed := s.on.Peek()
			var err error
			switch {
			case on:
				err = s.while(ctx, run, changed)
			case off != nil:
				err = off(ctx)
			}
			if err != nil {
				return err
			}
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
		return nil
	}
}

// while runs until the switch is turned. An error counts only if run ended by
// itself, which returning without one may not.
func (s *Switch) while(ctx context.Context, run func(context.Context) error, changed <-chan struct{}) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var turned atomic.Bool
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-changed:
			turned.Store(true)
			stop()
		case <-inner.Done():
		}
	})
	err := run(inner)
	stop()
	waiting.Wait()
	switch {
	case ctx.Err() != nil:
		return err
	case turned.Load():
		if err != nil {
			log.G(ctx).WithError(err).Warn("switched off, and did not stop cleanly")
		}
		return nil
	case err == nil:
		return errors.New("ended by itself")
	}
	return err
}

// Ready makes of a component's Ready one that is nil while the switch is off.
func (s *Switch) Ready(ready func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if !s.On() {
			return nil
		}
		return ready(ctx)
	}
}

// Tell says why nothing runs while the switch is off.
func (s *Switch) Tell(why string) func() string {
	return func() string {
		if s.On() {
			return ""
		}
		return why
	}
}
