package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/space"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/front"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/leader"
	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/snapshots"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/tunnel"
)

// The paths on the API's port that tell how kelp is.
const (
	ownPrefix  = "/v1-kelp"
	nodesPath  = ownPrefix + "/nodes/"
	metricPath = "/metrics"
)

// sight is how kelp is, for whoever may know: it is there before the supervisor
// that it is about.
type sight struct {
	own  string // this node's name
	hub  *tunnel.Hub
	view atomic.Pointer[http.Handler]
}

// register has the API authenticate and authorize who asks, and returns what it
// is to answer then.
func (s *sight) register(listen *front.Front) map[string]http.Handler {
	paths := map[string]http.Handler{ownPrefix + metricPath: http.HandlerFunc(s.here), nodesPath: http.HandlerFunc(s.there)}
	for _, question := range doctor.HealthPaths {
		paths[ownPrefix+"/"+question] = http.HandlerFunc(s.here)
		paths[ownPrefix+"/"+question+"/"] = http.HandlerFunc(s.here)
	}
	for path := range paths {
		listen.Handle("GET "+path, listen.API())
	}
	return paths
}

// open has questions answered from now on, as the status socket's are.
func (s *sight) open(snapshot func() supervisor.Snapshot, sources metrics.Sources) http.Handler {
	view := doctor.Sight(snapshot, sources)
	s.view.Store(&view)
	return view
}

// here answers for this server.
func (s *sight) here(w http.ResponseWriter, r *http.Request) {
	view := s.view.Load()
	if view == nil {
		http.Error(w, "the server is starting", http.StatusServiceUnavailable)
		return
	}
	http.StripPrefix(ownPrefix, *view).ServeHTTP(w, r)
}

// there answers for an agent, which is asked through its tunnel.
func (s *sight) there(w http.ResponseWriter, r *http.Request) {
	node, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, nodesPath), "/")
	question, _, _ := strings.Cut(path, "/")
	switch {
	case "/"+question != metricPath && !slices.Contains(doctor.HealthPaths, question):
		http.Error(w, "kelp has no such path", http.StatusNotFound)
		return
	case node == s.own:
		own := r.Clone(r.Context())
		own.URL.Path, own.URL.RawPath = ownPrefix+"/"+path, ""
		s.here(w, own)
		return
	}
	answer, err := s.hub.Get(r.Context(), node, "/"+path, r.URL.RawQuery)
	switch {
	case errors.Is(err, tunnel.ErrNoTunnel):
		http.Error(w, node+" has no tunnel to this server: it is away, no agent, or none of this cluster's", http.StatusNotFound)
		return
	case err != nil:
		log.G(r.Context()).WithError(err).WithField("node", node).Warn("an agent was not asked")
		http.Error(w, "the node does not answer", http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // either side has gone
}

// watch has the metrics tell of these.
func (b *beside) watch(cfg config.Config, joins *join.Server, keeper *snapshots.Keeper, room *space.Space, elected *leader.Leader) {
	b.sources.Requests, b.sources.Tokens, b.sources.Tunnels = joins.Requests, joins.Tokens, func() int { return len(b.sight.hub.Nodes()) }
	// Read anew once a minute at most: they are two dozen files.
	b.sources.Certificates = metrics.Cached(time.Minute, func() ([]pki.Status, error) { return pki.List(cfg) })
	b.sources.Snapshots = func() metrics.Snapshots {
		c := keeper.Counts()
		return metrics.Snapshots{Good: c.Good, Made: c.Made, Failed: c.Failed, Took: c.Took, Newest: c.Newest.Created, Size: c.Newest.Size, Failing: c.Failing}
	}
	kind := datastore.Kind(cfg)
	b.sources.Datastore = string(kind)
	if kind != config.DatastoreExternal {
		b.sources.Usage = func() metrics.Usage { return metrics.Usage(room.Usage()) }
	}
	// On SQLite there is one server, and nothing to elect.
	b.sources.Leads = func() bool { return kind == config.DatastoreSQLite || elected.Leads() }
}
