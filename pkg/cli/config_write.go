package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// configWriteCommand is how install.sh makes a file of what it was given: flags
// and variables that count for one process become settings that stay, and that
// all of kelp's commands see.
func configWriteCommand() *cli.Command {
	return &cli.Command{
		Name: "write", Usage: "write what the flags and the KELP_ variables set, and nothing else, into a configuration file", ArgsUsage: "FILE",
		Description: "The file gets the mode 0600 and may hold secrets; an empty one says that nothing was set. Other files are not read.",
		Flags:       ServerFlags(),
		Action:      writeConfig,
	}
}

func writeConfig(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return hinted{errors.New("kelp config write takes one file, after the flags"), "kelp config write --node-label=disk=ssd " + filepath.Join(config.DefaultFile+".d", "50-mine.yaml")}
	}
	if file := configFile(c); file != "" {
		return fmt.Errorf("kelp config write reads no file, and %s is given: leave it out", file)
	}
	cfg, origins, err := config.Load(config.LoadOptions{NoFile: true, Env: os.Environ(), Flags: givenFlags(c)})
	if err != nil {
		return err
	}
	// What joins a cluster is checked when it knows the cluster's settings.
	if cfg.Server == "" {
		host, err := config.HostOf()
		if err != nil {
			return err
		}
		completed, _ := cfg.Complete(host) // an address that is missing may be given by another file
		if err := completed.Validate(origins); err != nil {
			return err
		}
	}
	text, err := cfg.Given(origins)
	if err != nil {
		return err
	}
	return atomicfile.Write(c.Args().First(), text, 0o600)
}
