package apiserver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
)

// The API is ready while it waits for what aggregated API servers have, and for
// nothing else that /readyz waits for; who has asked for those kinds goes on waiting.
func TestReadyDoesNotWaitForAggregatedAPIs(t *testing.T) {
	t.Parallel()
	var known, stored atomic.Bool
	check := func(name string, done *atomic.Bool) healthz.HealthChecker {
		return healthz.NamedCheck(name, func(*http.Request) error {
			if !done.Load() {
				return errors.New("not yet")
			}
			return nil
		})
	}
	mux := http.NewServeMux()
	healthz.InstallReadyzHandler(mux, check(aggregatedCheck, &known), check("etcd", &stored))
	a := &APIServer{}
	if err := a.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "is being built") {
		t.Errorf("before it is built: %v", err)
	}
	a.serving.Store(&serving{handler: mux})
	if err := a.Ready(t.Context()); err == nil || err.Error() != "/readyz: waiting for etcd" {
		t.Errorf("without etcd: %v", err)
	}
	stored.Store(true)
	if err := a.Ready(t.Context()); err != nil {
		t.Errorf("without aggregated APIs: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := a.Discovered(ctx); err == nil || !strings.Contains(err.Error(), aggregatedCheck) {
		t.Errorf("the kinds are known without aggregated APIs: %v", err)
	}
	known.Store(true)
	stored.Store(false) // which a controller finds out by itself
	if err := a.Discovered(t.Context()); err != nil {
		t.Errorf("with aggregated APIs: %v", err)
	}
}
