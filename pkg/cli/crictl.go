package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/payload"
)

// crictlFile is where crictl looks for its configuration, and complains when
// it finds none.
const crictlFile = "/etc/crictl.yaml"

func crictlCommand() *cli.Command {
	return &cli.Command{
		Name:            "crictl",
		Usage:           "look at pods and containers as the kubelet sees them, also when the API is down",
		SkipFlagParsing: true,
		HideHelp:        true,
		Action: func(c *cli.Context) error {
			p := toolConfig(c).Paths()
			path, err := payload.Tool(c.Context, payload.Dirs{Bin: p.Bin, CNIBin: p.CNIBin}, "crictl")
			if errors.Is(err, fs.ErrPermission) {
				return hinted{err, "use sudo"}
			}
			if err != nil {
				return err
			}
			defaults := map[string]string{
				"CONTAINER_RUNTIME_ENDPOINT": "unix://" + p.ContainerdSocket,
				"IMAGE_SERVICE_ENDPOINT":     "unix://" + p.ContainerdSocket,
			}
			if _, err := os.Stat(crictlFile); errors.Is(err, fs.ErrNotExist) {
				defaults["CRI_CONFIG_FILE"] = os.DevNull
			}
			if err := setDefaults(defaults); err != nil {
				return err
			}
			// crictl takes the place of this process: its signals and its exit
			// status are its own.
			args := append([]string{"crictl"}, c.Args().Slice()...)
			return fmt.Errorf("run %s: %w", path, syscall.Exec(path, args, os.Environ()))
		},
	}
}
