package agent

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// sight answers how kelp is, on the status socket and through the tunnel of a
// server, which has asked who may know. It is there before the supervisor that it
// is about.
type sight struct{ view atomic.Pointer[http.Handler] }

// open has questions answered from now on.
func (s *sight) open(ctx context.Context, cfg config.Config, snapshot func() supervisor.Snapshot, sources metrics.Sources) {
	starts, err := metrics.CountStart(cfg.Paths().Starts)
	if err != nil {
		log.G(ctx).WithError(err).Warn("the metrics begin with this start")
	}
	sources.Starts = starts
	table := pki.NodeTable(cfg)
	// Read anew once a minute at most: they are files.
	sources.Certificates = metrics.Cached(time.Minute, func() ([]pki.Status, error) {
		found, err := pki.Read(table)
		return pki.Statuses(table, found, time.Now()), err
	})
	view := doctor.Sight(snapshot, sources)
	s.view.Store(&view)
}

// ServeHTTP is net/http's.
func (s *sight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	view := s.view.Load()
	if view == nil {
		http.Error(w, "the agent is starting", http.StatusServiceUnavailable)
		return
	}
	(*view).ServeHTTP(w, r)
}
