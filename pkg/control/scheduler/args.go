package scheduler

import (
	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/pki"
)

var identity = flags.Identity{Client: pki.Scheduler, Serving: pki.SchedulerServing, Port: 10259}

// Args returns kube-scheduler's arguments, without the user's. It is a pure
// function.
func Args(cfg config.Config, p config.Paths) *args.Set {
	s := args.NewSet("kube-scheduler")
	flags.ClientArgs(s, cfg, p, identity)
	s.Refused("write-config-to", "it writes a file and exits: use kelp args kube-scheduler")
	for name, r := range removed {
		s.Removed(name, r.Release, r.Successor)
	}
	return s
}
