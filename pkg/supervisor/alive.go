package supervisor

import (
	"time"

	"github.com/containerd/log"
)

// stuckAfter is how long a probe may take to return before the process counts as
// stuck: ten times what it is given.
const stuckAfter = 10 * probeTimeout

// Alive says whether the supervisor and the probes get round, for systemd's
// watchdog. What the probes find does not count: a component that is not ready
// waits for a disk or for another machine, and a new process would do the same.
// A probe that never returns is a lock that is held for ever, which a new
// process does not have.
func (s *Supervisor) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if took := time.Since(p.asked); !p.asked.IsZero() && took > stuckAfter {
			log.G(p.ctx).WithField("took", took.Round(time.Second)).Error("its probe does not return, so that systemd is not told that kelp is alive")
			return false
		}
	}
	return true
}

// asking notes that a probe has begun, or with the zero time that it is over.
func (s *Supervisor) asking(p *part, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.asked = since
}
