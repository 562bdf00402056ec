package agent

import (
	"context"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node"
)

// check refuses what a component would refuse later.
func check(ctx context.Context, cfg config.Config) error {
	n, err := node.Arguments(ctx, cfg)
	if err != nil {
		return err
	}
	return n.Check()
}
