package server

import (
	"context"
	"errors"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/snapshots"
)

// Rehearse does what it can of a start beside the server that runs, and changes
// nothing: what a start would refuse is refused, each component takes its arguments, and
// a datastore is started on a copy of the data, which the snapshot holds.
func Rehearse(ctx context.Context, cfg config.Config, snapshot string) error {
	if err := errors.Join(checkRemoved(cfg), datastore.Check(cfg), preflight.Beside(cfg, preflight.Server)); err != nil {
		return err
	}
	var part *node.Node
	if !cfg.Components.DisableAgent {
		var err error
		if part, err = node.Arguments(ctx, cfg); err != nil {
			return err
		}
	}
	if err := checkArguments(cfg, part); err != nil {
		return err
	}
	_, err := snapshots.Drill(ctx, cfg, snapshot)
	return err
}
