package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/server"
)

const (
	restoreFlag = "restore"
	resetFlag   = "cluster-reset"
)

func serverCommand() *cli.Command {
	return &cli.Command{
		Name:  "server",
		Usage: "run a server: the whole control plane, and this machine as a node",
		Flags: append(ServerFlags(), &cli.StringFlag{
			Name: restoreFlag, EnvVars: []string{"KELP_RESTORE"}, Category: "recovery",
			Usage: "begin with what the snapshot `FILE` holds; a start that has done so already goes on with what was written since",
		}, &cli.BoolFlag{
			Name: resetFlag, EnvVars: []string{"KELP_CLUSTER_RESET"}, Category: "recovery", DisableDefaultText: true,
			Usage: "when etcd has lost its majority: go on with what this server holds, alone; the others join anew. Use it on the server with the newest data",
		}),
		Subcommands: []*cli.Command{{
			Name:  "leave",
			Usage: "take this server out of its cluster, unless etcd would lose its majority",
			Description: "Its member of etcd is removed, its Node deleted, and kelp on it ends and stays out. Drain it before, with\n" +
				"kelp kubectl drain NAME --ignore-daemonsets, for its pods to move in peace.",
			Flags:  ServerFlags(),
			Action: leave,
		}},
		Action: serve,
	}
}

func serve(c *cli.Context) (err error) {
	entered := enter(c)
	defer func() { entered.Guard.Failed(err) }()
	source, reverted := sourceOf(c)
	loaded, origins, err := config.Load(loadOptions(c))
	if err != nil {
		return err
	}
	joining := loaded.Server != "" && !join.Joined(loaded)
	if !joining { // what is wrong is said before anything is set up
		if loaded, source.Origins, err = LoadConfig(c); err != nil {
			return err
		}
	}
	ctx, cancel := process.Setup(loaded.Log, loaded.Debug)
	defer cancel()
	entered.Log(ctx)
	reverted(ctx)
	return guarded(ctx, entered.Guard, func(ctx context.Context) error {
		if joining {
			if done, err := server.Join(ctx, loaded, origins); err != nil || !done {
				return err
			}
			if loaded, source.Origins, err = LoadConfig(c); err != nil {
				return err
			}
		}
		return server.Run(ctx, loaded, source, server.Recovery{Restore: c.String(restoreFlag), Reset: c.Bool(resetFlag)}, entered.Guard)
	})
}

func leave(c *cli.Context) error {
	cfg, _, err := LoadConfig(c)
	if err != nil {
		return err
	}
	if err := server.Leave(c.Context, cfg); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s has left its cluster. To use the machine again, move %s away first.\n", cfg.Node.Name, cfg.DataDir)
	return err
}
