package server

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

func testConfig(t *testing.T) config.Config {
	t.Helper()
	cfg, err := config.Default().Complete(config.Host{Name: "node-1", IPv4: netip.MustParseAddr("192.0.2.10")})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// joined makes a server of it that has joined others.
func joined(t *testing.T, cfg *config.Config) {
	t.Helper()
	cfg.DataDir = t.TempDir()
	paths := cfg.Paths()
	for _, dir := range []string{filepath.Dir(paths.ClusterFile), paths.Etcd} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(paths.ClusterFile, []byte(`{"servers":["192.0.2.1:6443"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStartOrder holds the order in which each mode starts: a change of it is
// to be looked at.
func TestStartOrder(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.Config){
		"single":       func(*config.Config) {},
		"etcd":         func(c *config.Config) { c.Datastore.Kind = config.DatastoreEtcd },
		"no-agent":     func(c *config.Config) { c.Components.DisableAgent = true },
		"own-cni":      func(c *config.Config) { c.Network.Backend = config.BackendNone },
		"no-servicelb": func(c *config.Config) { c.Components.Disable = []string{"servicelb"} },
		"joined":       func(c *config.Config) { joined(t, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			change(&cfg)
			components, err := Components(cfg, &node.Node{NFTables: true}, newClock(), nil, &beside{})
			if err != nil {
				t.Fatal(err)
			}
			order, err := supervisor.Order(components)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "order."+name+".golden", []byte(order))
		})
	}
}

func TestSystemdHearsReadyWhenTheNodeIs(t *testing.T) {
	t.Parallel()
	part := func(name string, s supervisor.State) supervisor.Status {
		return supervisor.Status{Name: name, State: s}
	}
	for name, c := range map[string]struct {
		components []supervisor.Status
		want       bool
	}{
		"api only":       {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Starting)}, false},
		"both":           {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Ready), part(deployName, supervisor.Starting)}, true},
		"no account yet": {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Ready), part(accountName, supervisor.Starting)}, false},
		"no role yet":    {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Ready), part(roleName, supervisor.Starting)}, false},
		"takes pods":     {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Ready), part(roleName, supervisor.Ready), part(accountName, supervisor.Ready)}, true},
		"without node":   {[]supervisor.Status{part(api, supervisor.Ready), part(nodepart.Kubelet, supervisor.Skipping)}, true},
	} {
		if got := nodeReady(supervisor.Snapshot{Components: c.components}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestTheFirstWaitThatIsOverEndsTheOthers(t *testing.T) {
	t.Parallel()
	forever := func(ctx context.Context) { <-ctx.Done() }
	over := func(context.Context) {}
	either(t.Context(), forever, over)
	either(t.Context(), over, forever)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	either(ended, forever, forever)
}
