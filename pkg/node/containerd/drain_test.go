package containerd

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/kelp-project/kelp/pkg/config"
)

// Until the last handler has returned, what it uses is not closed.
func TestDrainWaitsForHandlers(t *testing.T) {
	t.Parallel()
	counts := middleware.NewServerMetrics()
	d := drain{counts: func() (prometheus.Collector, error) { return counts, nil }}
	if err := d.Close(); err != nil {
		t.Fatalf("with no request: %v", err)
	}
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := counts.UnaryServerInterceptor()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/runtime.v1.RuntimeService/CreateContainer"},
			func(context.Context, any) (any, error) {
				close(begun)
				<-end
				return nil, nil
			})
		ended <- err
	}()
	<-begun
	if calls, err := underWay(counts); err != nil || !slices.Equal(calls, []string{"runtime.v1.RuntimeService/CreateContainer"}) {
		t.Errorf("under way are %v, %v", calls, err)
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(end)
	if err := <-closed; err != nil {
		t.Errorf("after the last handler: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// etcd has figures of the same names in the process' registry.
func TestRequestsAreCountedBesideEtcd(t *testing.T) {
	t.Parallel()
	for _, r := range registrations() {
		if r.Type != plugins.MetricsPlugin || r.ID != countsID {
			continue
		}
		p, err := r.InitFn(&plugin.InitContext{})
		if err != nil {
			t.Fatal(err)
		}
		// Registered already, an equal one would be refused.
		again := middleware.NewServerMetrics()
		if err := prometheus.Register(again); err != nil {
			t.Errorf("its figures are in the process' registry: %v", err)
		}
		prometheus.Unregister(again)
		if calls, err := underWay(p.(prometheus.Collector)); err != nil || len(calls) != 0 {
			t.Errorf("%v, %v", calls, err)
		}
		return
	}
	t.Fatal("containerd has no such plugin any more")
}

// It has to be closed after the servers and before the database.
func TestDrainIsBetweenServersAndDatabase(t *testing.T) {
	t.Parallel()
	at := map[string]int{}
	for i, r := range registrations() {
		at[r.URI()] = i
	}
	if slices.Contains(Config(config.Default(), Inputs{}).DisabledPlugins, string(plugins.MetricsPlugin)+"."+countsID) {
		t.Error("nothing counts requests: the plugin that would is switched off")
	}
	drain := at[string(plugins.MetricsPlugin)+".kelp-drain"]
	if before, after := at[string(plugins.MetadataPlugin)+".bolt"], at[string(plugins.ServerPlugin)+".grpc"]; before == 0 || before > drain || drain > after {
		t.Errorf("the database is number %d, the drain %d, the server %d", before, drain, after)
	}
}
