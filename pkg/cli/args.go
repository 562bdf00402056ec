package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/server"
)

// argsCommand shows what a component is started with. It takes the flags of
// kelp server, so that one can see what they would do.
func argsCommand() *cli.Command {
	return &cli.Command{
		Name:        "args",
		Usage:       "show the arguments that a component is started with, and who set them",
		ArgsUsage:   "COMPONENT",
		Description: "The component is kube-apiserver, kube-controller-manager, kube-scheduler, etcd, kubelet or kube-proxy.",
		Flags: append(ServerFlags(), &cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table, flags or json", Category: "output",
		}),
		Action: showArgs,
	}
}

func showArgs(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("name one component: kelp args kube-apiserver")
	}
	cfg, _, err := LoadConfig(c)
	if err != nil {
		return err
	}
	var n *node.Node
	if !cfg.Components.DisableAgent {
		if n, err = node.New(c.Context, cfg); err != nil {
			return err
		}
	}
	set, err := server.Arguments(cfg, n, c.Args().First())
	if err != nil {
		return err
	}
	return printArgs(c, set)
}

func printArgs(c *cli.Context, set *args.Set) error {
	w := c.App.Writer
	switch form := given(c, "output"); form {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(set.Entries())
	case "flags":
		for _, line := range set.Render() {
			fmt.Fprintln(w, line)
		}
		return nil
	case "table":
	default:
		return fmt.Errorf("output %q is not one of table, flags, json", form)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ARGUMENT\tVALUE\tSET BY")
	for _, e := range set.Entries() {
		for _, v := range e.Values {
			fmt.Fprintf(t, "%s\t%s\t%s\n", e.Key, v.Text, v.Source)
		}
	}
	return t.Flush()
}
