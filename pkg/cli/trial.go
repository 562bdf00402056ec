package cli

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/version"
)

// enter looks whether an upgrade is on trial, before anything else. What is wrong
// with the configuration is for later: it is the data directory that counts here.
func enter(c *cli.Context) trial.Entered {
	cfg, _, _ := config.Load(loadOptions(c))
	return trial.Enter(cfg.Paths().Upgrade, version.Version)
}

// guarded runs kelp. On trial it makes way for the version before it when it is not
// ready in time.
func guarded(ctx context.Context, guard *trial.Guard, run func(context.Context) error) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var over atomic.Bool
	defer guard.Watch(ctx, func() {
		over.Store(true)
		stop()
	})()
	err := run(inner)
	if over.Load() {
		return errors.Join(err, process.Reexec())
	}
	return err
}
