package nodepart

import (
	"context"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/process"
)

// Appliers are what takes new settings on every machine; the node is nil where
// there is none.
func Appliers(n *node.Node) []live.Applier {
	level := func(ctx context.Context, cfg config.Config) error {
		process.SetLevel(ctx, cfg.Log.Level, cfg.Debug)
		if n != nil {
			n.Containerd.FollowLevel(ctx)
		}
		return nil
	}
	list := []live.Applier{{Name: "log", Settings: []string{"log.level"}, Apply: level}}
	if n == nil {
		return list
	}
	return append(list,
		live.Applier{Name: marks, Settings: []string{"node.labels", "node.taints"}, Apply: n.Marks.Apply},
		live.Applier{Name: "registries", Settings: []string{"containerd.registries"}, Apply: func(_ context.Context, cfg config.Config) error {
			n.Containerd.Registries(cfg.Containerd.Registries)
			return nil
		}},
		live.Applier{Name: config.NetworkPolicy, Settings: []string{"components.disable"}, Apply: func(_ context.Context, cfg config.Config) error {
			n.Policies.Set(cfg.NetworkPolicies())
			return nil
		}},
	)
}
