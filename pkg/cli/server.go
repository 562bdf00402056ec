package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/server"
)

func serverCommand() *cli.Command {
	return &cli.Command{
		Name:  "server",
		Usage: "run a server: the whole control plane, and this machine as a node",
		Flags: ServerFlags(),
		Action: func(c *cli.Context) error {
			cfg, _, err := LoadConfig(c)
			if err != nil {
				return err
			}
			ctx, cancel := process.Setup(cfg.Log, cfg.Debug)
			defer cancel()
			return server.Run(ctx, cfg)
		},
	}
}
