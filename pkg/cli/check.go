package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/preflight"
)

// checkCommand tells whether kelp server would start here. It takes the flags
// of kelp server, for what is needed follows from them.
func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "say whether this machine can run kelp, and what to do if it cannot",
		ArgsUsage: " ",
		Description: "Looks at what kelp server looks at before it changes anything: ports, the kernel, cgroups, the data directory,\n" +
			"certificates, memory and the clock; and at what would not stop it: how fast the disk is, firewalls, security\n" +
			"modules, other software. Takes the flags of kelp server. Exits with status 1 if something is in the way.",
		Flags: append(ServerFlags(), &cli.BoolFlag{
			Name: "agent", Usage: "look at what kelp agent needs", DisableDefaultText: true, Category: "check",
		}, &cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output",
		}),
		Action: check,
	}
}

func check(c *cli.Context) error {
	cfg, _, err := LoadConfig(c)
	if err != nil {
		return err
	}
	role := preflight.Server
	if c.Bool("agent") {
		role = preflight.Agent
	}
	report := preflight.Look(cfg, role)
	switch form := given(c, "output"); form {
	case "table":
		err = printReport(c.App.Writer, report)
	case "json":
		enc := json.NewEncoder(c.App.Writer)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	default:
		return fmt.Errorf("output %q is not one of table, json", form)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if report.Err() != nil {
		return quiet{errors.New("kelp cannot run here yet"), 1}
	}
	return nil
}

func printReport(w io.Writer, report preflight.Report) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range report.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Level, f.Check, f.Text)
		if f.Fix != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", f.Fix)
		}
	}
	return t.Flush()
}
