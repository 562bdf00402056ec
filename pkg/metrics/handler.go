package metrics

import (
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves kelp's own metrics, and with ?component=NAME those of a component
// in this process.
func Handler(s Sources) http.Handler {
	own := prometheus.NewPedanticRegistry()
	own.MustRegister(collector{s}) // the only one: it cannot contradict another
	components := Components()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gatherer := prometheus.Gatherer(own)
		if name := r.URL.Query().Get("component"); name != "" {
			if !slices.Contains(components, name) {
				http.Error(w, "there is no component with this name: choose one of "+strings.Join(components, ", "), http.StatusNotFound)
				return
			}
			gatherer = upstream(name)
		}
		// What can be gathered is served: one metric that two components have in
		// different forms must not hide all others.
		promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
}
