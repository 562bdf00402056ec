package join

import "github.com/kelp-project/kelp/pkg/config"

// Settle makes the whole configuration of a machine that joins: its own, as it
// was loaded, and what the cluster shares. A contradiction is refused.
func (c Cluster) Settle(loaded config.Config, origins config.Origins) (config.Config, error) {
	cfg, err := loaded.WithCluster(c.Settings, origins)
	if err != nil {
		return cfg, err
	}
	host, err := config.HostOf()
	if err != nil {
		return cfg, err
	}
	completed, incomplete := cfg.Complete(host)
	if err := completed.Validate(origins.WithMachine(cfg, completed)); err != nil {
		return cfg, err
	}
	return completed, incomplete
}
