package cli

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/agent"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/process"
)

func agentCommand() *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "join a cluster as a node",
		Description: "kelp agent --server=https://10.0.0.1:6443 --token=TOKEN makes this machine a node of that server's cluster.\n" +
			"What the cluster shares, such as its address ranges, comes from the server. A server keeps a token for agents in\n" +
			"server/agent-token below its data directory; kelp token create makes more.",
		Flags:  agentFlags(),
		Action: runAgent,
	}
}

func runAgent(c *cli.Context) (err error) {
	entered := enter(c)
	defer func() { entered.Guard.Failed(err) }()
	source, reverted := sourceOf(c)
	cfg, origins, err := config.Load(loadOptions(c))
	if err != nil {
		return err
	}
	ctx, cancel := process.Setup(cfg.Log, cfg.Debug)
	defer cancel()
	entered.Log(ctx)
	reverted(ctx)
	source.Origins = origins
	return guarded(ctx, entered.Guard, func(ctx context.Context) error { return agent.Run(ctx, cfg, source, entered.Guard) })
}

// agentFlags are the flags of the settings that a node has for itself, and of
// those that let it in.
func agentFlags() []cli.Flag {
	mine := map[string]bool{configFlag: true}
	for _, f := range config.Fields() {
		mine[f.Flag] = f.Scope == "node" || f.Secret
	}
	var flags []cli.Flag
	for _, f := range ServerFlags() {
		if mine[f.Names()[0]] {
			flags = append(flags, f)
		}
	}
	return flags
}
