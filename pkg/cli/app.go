package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/version"
)

// tools are the programs that kelp acts as when it is run by their name.
var tools = []string{"kubectl", "ctr", "crictl"}

const description = `To begin, as root:

   kelp server                  starts a cluster of one node and stays in the foreground
   kelp status                  says what runs, and what it waits for; kelp doctor what is the matter
   kelp agent --server=URL      joins this machine to a server's cluster, with a token
   kelp kubectl get pods -A     looks into the cluster; so does kubectl, if it is a link to kelp

Settings are flags of kelp server, KELP_ variables or keys of /etc/kelp/config.yaml; kelp config shows them all.`

// App is the command line. Each call returns a new one, for urfave/cli keeps
// state in it.
func App() *cli.App {
	app := &cli.App{
		Name:        "kelp",
		Usage:       "all of Kubernetes as one process",
		Description: description,
		HideVersion: true, // ours prints more than one line
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the versions of kelp and of what is in it", DisableDefaultText: true}},
		Commands: slices.Concat(
			group("Cluster", serverCommand(), agentCommand(), tokenCommand(), certificateCommand(), secretsEncryptCommand(), snapshotCommand(), etcdCommand(), upgradeCommand()),
			group("Insight", statusCommand(), doctorCommand(), checkCommand(), configCommand(), argsCommand()),
			group("Tools", kubectlCommand(), ctrCommand(), crictlCommand()),
			group("Shell", completionCommand(), completeCommand(), packagingCommand()),
		),
		Action: root,

		// Commas are part of component arguments; package config splits.
		DisableSliceFlagSeparator: true,
		// Errors are main's to print; without this, urfave/cli exits.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   usageError,
	}
	onUsageError(app.Commands)
	return app
}

func group(category string, commands ...*cli.Command) []*cli.Command {
	for _, c := range commands {
		c.Category = category
	}
	return commands
}

// Run runs the command line. By a tool's name as the first argument's base,
// as when a link to kelp is called kubectl, it acts as that tool.
func Run(ctx context.Context, args []string) error {
	if name := filepath.Base(args[0]); slices.Contains(tools, name) {
		args = slices.Concat([]string{"kelp", name}, args[1:])
	}
	return App().RunContext(ctx, args)
}

// root is kelp without a command.
func root(c *cli.Context) error {
	switch {
	case c.Bool("version"):
		_, err := io.WriteString(c.App.Writer, version.String())
		return err
	case c.Args().Present():
		return unknownCommand(c.Args().First(), c.App.Commands, "kelp")
	}
	return cli.ShowAppHelp(c)
}

// Report prints an error for a person, with the hint that its chain holds, if
// any, and returns the exit status: 1, or what the error itself asks for.
func Report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" { // a tool that has had its say gives an empty one
		fmt.Fprintln(w, "error: "+indent(text))
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(w, "hint: "+hint)
	}
	return exitStatus(err)
}
