package doctor

import (
	"net/http"

	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// Sight answers how kelp on this machine is: /metrics, and what Health
// does, without asking who asks.
func Sight(snapshot func() supervisor.Snapshot, sources metrics.Sources) http.Handler {
	sources.Snapshot = snapshot
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(sources))
	health := Health("", snapshot)
	for _, question := range HealthPaths {
		mux.Handle("GET /"+question, health)
		mux.Handle("GET /"+question+"/", health)
	}
	return mux
}
