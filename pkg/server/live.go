package server

import (
	"context"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/internal/toggle"
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// beside collects, while the components are built, what is done with them beside
// running them.
type beside struct {
	source   live.Source
	appliers []live.Applier
	follower *live.Follower
	sight    sight
	sources  metrics.Sources
	awaited  bool // another server joins as soon as this one lets it
}

// The live settings of those that take more than one.
var (
	snapshotsLive = []string{
		"snapshots.schedule", "snapshots.jitter", "snapshots.retain", "snapshots.maxAge", "snapshots.name", "snapshots.compress",
	}
	clusterLive = append([]string{"snapshots.disable", "components.disable"}, snapshotsLive...)
)

func (b *beside) addAppliers(list ...live.Applier) { b.appliers = append(b.appliers, list...) }

func (b *beside) addApplier(name string, apply func(context.Context, config.Config) error, settings ...string) {
	b.addAppliers(live.Applier{Name: name, Settings: settings, Apply: apply})
}

// switched returns a switch that follows a setting.
func (b *beside) switched(name string, on bool, of func(config.Config) bool, setting string) *toggle.Switch {
	s := toggle.New(on)
	b.addApplier(name, func(_ context.Context, cfg config.Config) error {
		s.Set(of(cfg))
		return nil
	}, setting)
	return s
}

// configuration follows the configuration with what was collected.
func (b *beside) configuration(cfg config.Config, n *node.Node, restart func()) supervisor.Component {
	b.follower = live.New(live.Options{
		Source: b.source, Running: cfg, Also: []string{cfg.Paths().ClusterFile}, Appliers: b.appliers, Restart: restart,
		Check: func(ctx context.Context, desired config.Config) error {
			if err := datastore.Check(desired); err != nil {
				return err
			}
			var part *node.Node
			if n != nil && !desired.Components.DisableAgent {
				var err error
				if part, err = node.Arguments(ctx, desired); err != nil {
					return err
				}
			}
			return checkArguments(desired, part)
		},
	})
	b.sources.Configuration = b.follower.State
	return supervisor.Component{Name: configurationName, Run: b.follower.Run, Tell: b.follower.Tell}
}
