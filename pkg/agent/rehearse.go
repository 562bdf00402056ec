package agent

import (
	"context"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/preflight"
)

// Rehearse does what it can of a start beside the agent that runs, and changes
// nothing. The configuration has what the cluster shares in it.
func Rehearse(ctx context.Context, cfg config.Config) error {
	if err := preflight.Beside(cfg, preflight.Agent); err != nil {
		return err
	}
	return check(ctx, cfg)
}
