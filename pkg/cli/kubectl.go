package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	componentcli "k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	// Clusters of other providers may need their way to log in.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

func kubectlCommand() *cli.Command {
	return &cli.Command{
		Name:            "kubectl",
		Usage:           "look into the cluster and change it (also when a link to kelp is named kubectl)",
		SkipFlagParsing: true,
		HideHelp:        true,
		Action: func(c *cli.Context) error {
			if err := defaultKubeconfig(toolConfig(c).Kubeconfig.Path); err != nil {
				return err
			}
			kubectl(c.Args().Slice())
			return nil
		},
	}
}

// kubectl runs the stock command. Like the stock program it ends the process
// with its own exit status when something goes wrong (that of a command in
// kubectl exec, 1 for differences in kubectl diff), and runs plugins from PATH.
func kubectl(args []string) {
	all := append([]string{"kubectl"}, args...)
	// kubectl looks at the process's arguments itself, while it is set up.
	os.Args = all
	// An invalid level is reported once flags are parsed.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(all))
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	command := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     all,
		ConfigFlags: genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().
			WithDiscoveryBurst(300).WithDiscoveryQPS(50).WithWarningPrinter(streams),
		IOStreams: streams,
	})
	command.SetArgs(args)
	cmdutil.CheckErr(componentcli.RunNoErrOutput(command))
}

// defaultKubeconfig makes path the kubeconfig where the environment names
// none. --kubeconfig wins over both. Users who may not read it keep their own.
func defaultKubeconfig(path string) error {
	if os.Getenv("KUBECONFIG") != "" {
		return nil
	}
	f, err := os.Open(path)
	switch {
	case err == nil:
		f.Close()
		return os.Setenv("KUBECONFIG", path)
	case errors.Is(err, fs.ErrPermission) && !hasOwnKubeconfig():
		return hinted{
			fmt.Errorf("read the administrator's kubeconfig: %w", err),
			"use sudo, or set KUBECONFIG to a copy that you own, or start kelp server with --write-kubeconfig-mode=0644",
		}
	}
	// No server was ever started here, or it is not for this user.
	return nil
}

func hasOwnKubeconfig() bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(home, ".kube", "config"))
	return err == nil
}
