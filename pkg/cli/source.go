package cli

import (
	"context"
	"time"

	"github.com/containerd/log"
	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/live"
)

// sourceOf is where the configuration of a server or agent comes from, as long as
// it runs. A trial of the file whose time is over is undone before it is read;
// reverted tells of that as soon as there is a log.
func sourceOf(c *cli.Context) (source live.Source, reverted func(context.Context)) {
	opts := loadOptions(c)
	file := opts.File
	if file == "" {
		file = config.DefaultFile
	}
	kept, err := live.Settle(file, time.Now())
	reverted = func(ctx context.Context) {
		entry := log.G(ctx).WithField("path", file)
		switch {
		case err != nil:
			entry.WithError(err).Error("whether the configuration is on trial is not known")
		case kept != "":
			entry.WithField("kept", kept).Warn("the configuration was not confirmed in time, and is what it was before")
		}
	}
	load := func(instead *config.Text) (config.Config, config.Origins, error) {
		opts := opts
		opts.Instead = instead
		return buildConfig(opts)
	}
	return live.Source{File: file, Load: load}, reverted
}
