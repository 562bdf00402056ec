package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

func certificateCommand() *cli.Command {
	flags := append(ServerFlags(), &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output",
	})
	return &cli.Command{
		Name:      "certificate",
		Aliases:   []string{"certs"},
		Usage:     "list, check and rotate certificates",
		ArgsUsage: " ",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list every certificate, its authority, when it ends and how many days that is", ArgsUsage: " ",
				Flags: flags, Action: listCertificates,
			},
			{
				Name: "check", Usage: "list certificates that have to be issued anew; exit with status 3 if there are any", ArgsUsage: " ",
				Description: "A running kelp renews certificates by itself when under a third of their life is left.",
				Flags:       flags, Action: checkCertificates,
			},
			{
				Name: "rotate", Usage: "issue certificates anew, with new keys: those that are named, or all but the authorities", ArgsUsage: "[NAME...]",
				Description: "What they replace is kept below the data directory. A running kelp picks them up without a restart.",
				Flags:       ServerFlags(), Action: rotateCertificates,
			},
			rotateCACommand(),
		},
	}
}

func listCertificates(c *cli.Context) error {
	list, err := certificates(c)
	if err != nil {
		return err
	}
	return printCertificates(c.App.Writer, given(c, "output"), list)
}

func checkCertificates(c *cli.Context) error {
	list, err := certificates(c)
	if err != nil {
		return err
	}
	due := []pki.Status{}
	for _, s := range list {
		if s.Due != "" {
			due = append(due, s)
		}
	}
	if len(due) == 0 && given(c, "output") == "table" {
		_, err := fmt.Fprintln(c.App.Writer, "every certificate is in order")
		return err
	}
	if err := printCertificates(c.App.Writer, given(c, "output"), due); err != nil {
		return err
	}
	if len(due) > 0 {
		return quiet{errors.New("certificates are due"), notReady}
	}
	return nil
}

func certificates(c *cli.Context) ([]pki.Status, error) {
	cfg, err := asRoot(c)
	if err != nil {
		return nil, err
	}
	return pki.List(cfg)
}

// asRoot loads the configuration for a command that reads or writes keys.
func asRoot(c *cli.Context) (config.Config, error) {
	cfg, _, err := LoadConfig(c)
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("certificates and keys are root's alone: use sudo")
	}
	return cfg, err
}

func printCertificates(w io.Writer, form string, list []pki.Status) error {
	switch form {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	case "table":
	default:
		return fmt.Errorf("output %q is not one of table, json", form)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tAUTHORITY\tUSAGE\tENDS\tDAYS LEFT\tSTATE")
	for _, s := range list {
		ends, days, state := "-", "-", "good"
		if !s.NotAfter.IsZero() {
			ends, days = s.NotAfter.UTC().Format(time.DateOnly), fmt.Sprint(s.DaysLeft)
		}
		if s.Due != "" {
			state = s.Due
		}
		authority := s.Authority
		if authority == "" {
			authority = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, authority, s.Usage, ends, days, state)
	}
	return t.Flush()
}

func rotateCertificates(c *cli.Context) error {
	cfg, err := asRoot(c)
	if err != nil {
		return err
	}
	backup, issued, err := pki.New(cfg).Rotate(c.Context, c.Args().Slice()...)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ISSUED\tWHO PICKS IT UP")
	for _, e := range issued {
		fmt.Fprintf(t, "%s\t%s\n", e.Name, e.Reload)
	}
	fmt.Fprintf(t, "\nThe old ones are in %s.\n", backup)
	return t.Flush()
}
