package controllermanager

import (
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
)

// Either NodeIPAM gives nodes their ranges, or kube-controller-manager does:
// never both, and never neither.
func TestOneControllerGivesRanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Config)
		early  bool
	}{
		"by default":           {func(*config.Config) {}, true},
		"other arguments":      {func(c *config.Config) { c.Args.ControllerManager = []string{"v=2", "node-monitor-period=5s"} }, true},
		"a mask of the user's": {func(c *config.Config) { c.Args.ControllerManager = []string{"--node_cidr_mask_size=25"} }, false},
		"controllers":          {func(c *config.Config) { c.Args.ControllerManager = []string{"controllers=-ttl"} }, false},
		"another network":      {func(c *config.Config) { c.Network.Backend = config.BackendNone }, false},
	} {
		cfg := config.Default()
		c.change(&cfg)
		off := false
		for _, e := range Args(cfg, cfg.Paths()).Entries() {
			for _, v := range e.Values {
				off = off || e.Key == "controllers" && v.Text == "-node-ipam-controller"
			}
		}
		if got := EarlyIPAM(cfg); got != c.early || off != c.early {
			t.Errorf("%s: NodeIPAM runs: %v, kube-controller-manager's is off: %v; want %v", name, got, off, c.early)
		}
	}
}
