package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/log"
)

// LateError says which components did not stop in time. The process can end, or
// execute itself anew, all the same: each is as safe as when it is killed.
type LateError struct {
	Names []string
	After time.Duration
}

// Error names them.
func (e *LateError) Error() string {
	return fmt.Sprintf("still running %s after the stop: %s", e.After.Round(time.Second), strings.Join(e.Names, ", "))
}

// stop ends all components, dependents before what they depend on, side by
// side where neither depends on the other. One that overruns its deadline is
// named and not waited for, and so is the whole: a process that does not end
// is killed, and then nobody learns why.
func (s *Supervisor) stop(ctx context.Context) error {
	begun := time.Now()
	give := time.After(stopTotal)
	var all sync.WaitGroup
	gone := make(chan struct{})
	for _, p := range s.parts {
		if p.Skip != "" {
			continue
		}
		all.Go(func() {
			for _, d := range s.dependents(p) {
				select {
				case <-d.ended:
				case <-gone:
					return
				}
			}
			s.stopOne(p, gone)
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-give:
		close(gone)
		<-ended
	}
	if late := s.running(); len(late) > 0 {
		return &LateError{Names: late, After: time.Since(begun)}
	}
	log.G(ctx).WithField("took", time.Since(begun).Round(time.Millisecond)).Info("stopped")
	return nil
}

// stopOne ends one component, whose dependents have ended.
func (s *Supervisor) stopOne(p *part, gone <-chan struct{}) {
	select {
	case <-p.ended:
		return
	default:
	}
	s.set(p, func(st *Status) {
		if st.State != Failed {
			st.State = Stopping
		}
	})
	p.cancel()
	deadline := time.NewTimer(stopDeadline)
	defer deadline.Stop()
	select {
	case <-p.ended:
	case <-gone:
	case <-deadline.C:
		log.G(p.ctx).WithField("took", stopDeadline).Warn("does not stop")
		// What it depends on is stopped all the same.
		p.abandon()
	}
}

// dependents are the parts that come after p.
func (s *Supervisor) dependents(p *part) []*part {
	var found []*part
	for _, other := range s.parts {
		if slices.Contains(other.After, p.Name) {
			found = append(found, other)
		}
	}
	return found
}

// running names the parts whose Run has not returned.
func (s *Supervisor) running() []string {
	var names []string
	for _, p := range s.parts {
		select {
		case <-p.returned:
		default:
			names = append(names, p.Name)
		}
	}
	return names
}
