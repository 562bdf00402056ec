package containerd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// drainLimit is how long handlers have to end once their callers are gone. They are
// told so, and take milliseconds; now and then one has been seen that does not end.
const drainLimit = time.Second

// containerd closes its servers, which does not wait for the handlers of requests,
// and then its database. A handler that goes on without it can panic (containerd
// 2.4.2: NRI with a container whose specification cannot be read), and a panic ends
// kelp in the middle of its stop. This plugin comes before the servers and after all
// that they serve, so it is closed between the two. Remove when containerd's server
// waits for its handlers.
func init() {
	registry.Register(&plugin.Registration{
		Type:     plugins.MetricsPlugin,
		ID:       "kelp-drain",
		Requires: []plugin.Type{plugins.GRPCPlugin, plugins.MetadataPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			return drain{counts: func() (prometheus.Collector, error) {
				p, err := ic.GetByID(plugins.MetricsPlugin, countsID)
				if err != nil {
					return nil, err
				}
				c, ok := p.(prometheus.Collector)
				if !ok {
					return nil, fmt.Errorf("it is a %T", p)
				}
				return c, nil
			}}, nil
		},
	})
}

// countsID is the plugin that counts the requests of containerd's servers.
const countsID = "grpc-prometheus"

// That plugin puts its figures into the process' own registry, into which etcd puts
// its own of the same names; where etcd comes first, it panics. Here it counts, and
// tells drain alone.
func init() {
	registry.Graph(func(r *plugin.Registration) bool {
		if r.Type == plugins.MetricsPlugin && r.ID == countsID {
			r.InitFn = func(*plugin.InitContext) (any, error) { return middleware.NewServerMetrics(), nil }
		}
		return false
	})
}

// drain waits for the handlers of requests when it is closed.
type drain struct {
	counts func() (prometheus.Collector, error)
}

// Close is io.Closer's.
func (d drain) Close() error {
	counts, err := d.counts()
	if err != nil {
		return fmt.Errorf("look for the metrics of containerd's server: %w", err)
	}
	return poll.Until(context.Background(), drainLimit, func(context.Context) error {
		calls, err := underWay(counts)
		if err == nil && len(calls) > 0 {
			err = fmt.Errorf("still under way: %s", strings.Join(calls, ", "))
		}
		return err
	})
}

// underWay are the calls that have begun and not ended, by name. Streams end with their
// callers and write nothing.
func underWay(counts prometheus.Collector) ([]string, error) {
	r := prometheus.NewRegistry()
	if err := r.Register(counts); err != nil {
		return nil, fmt.Errorf("read the metrics of containerd's server: %w", err)
	}
	families, err := r.Gather()
	if err != nil {
		return nil, fmt.Errorf("read the metrics of containerd's server: %w", err)
	}
	signs := map[string]int{"grpc_server_started_total": 1, "grpc_server_handled_total": -1}
	calls := map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["grpc_type"] == "unary" {
				calls[labels["grpc_service"]+"/"+labels["grpc_method"]] += signs[f.GetName()] * int(m.GetCounter().GetValue())
			}
		}
	}
	maps.DeleteFunc(calls, func(_ string, n int) bool { return n == 0 })
	return slices.Sorted(maps.Keys(calls)), nil
}
