package cli

import (
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/cmd/ctr/app"
	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

func ctrCommand() *cli.Command {
	return &cli.Command{
		Name:            "ctr",
		Usage:           "talk to kelp's containerd, in the namespace of Kubernetes",
		SkipFlagParsing: true,
		HideHelp:        true,
		Action: func(c *cli.Context) error {
			err := setDefaults(map[string]string{
				"CONTAINERD_ADDRESS":   toolConfig(c).Paths().ContainerdSocket,
				"CONTAINERD_NAMESPACE": "k8s.io",
			})
			if err != nil {
				return err
			}
			// ctr takes the process's arguments for its shell completion.
			os.Args = append([]string{"ctr"}, c.Args().Slice()...)
			return app.New().Run(c.Context, os.Args)
		},
	}
}

// toolConfig is the configuration for a tool, which needs only paths of it. A
// mistake in it must not keep people from looking what is wrong: then it is
// what could be read, over the defaults.
func toolConfig(c *cli.Context) config.Config {
	cfg, _, _ := config.Load(config.LoadOptions{File: configFile(c), Env: os.Environ()})
	return cfg
}

// setDefaults sets variables that the environment lacks.
func setDefaults(variables map[string]string) error {
	for name, value := range variables {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
