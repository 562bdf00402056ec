package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

// configCommand shows and checks the configuration. It takes the flags of
// kelp server, so that one can see what they would do.
func configCommand() *cli.Command {
	return &cli.Command{
		Name:      "config",
		Usage:     "show, check and change the configuration",
		ArgsUsage: " ",
		Description: "Shows every setting, its value and where that came from, as kelp server with the same flags and the\n" +
			"same environment would see it. Secrets are not shown.",
		Flags: showFlags(),
		Subcommands: append([]*cli.Command{
			{Name: "show", Usage: "show the effective configuration (what kelp config does, too)", Flags: showFlags(), Action: showConfig},
			{Name: "validate", Usage: "check a configuration file, and its drop-ins, for this machine", ArgsUsage: "FILE", Action: validateConfig},
			configWriteCommand(),
			{Name: "schema", Usage: "print the JSON schema of the configuration file", Action: printSchema},
		}, changeCommands()...),
		Action: showConfig,
	}
}

func showFlags() []cli.Flag {
	return append(ServerFlags(), &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table, yaml or json", Category: "output",
	})
}

func showConfig(c *cli.Context) error {
	if c.Args().Present() {
		return unknownCommand(c.Args().First(), c.Command.Subcommands, "kelp config")
	}
	form := given(c, "output")
	if !slices.Contains(forms, form) {
		return fmt.Errorf("output %q is not one of table, yaml, json", form)
	}
	cfg, origins, err := LoadConfig(c)
	var unread *loadError
	if errors.As(err, &unread) {
		return err // nothing to show: some values were not even read
	}
	return errors.Join(printConfig(c.App.Writer, form, cfg, origins), err)
}

var forms = []string{"table", "yaml", "json"}

func printConfig(w io.Writer, form string, cfg config.Config, origins config.Origins) error {
	switch form {
	case "yaml":
		text, err := cfg.YAML(origins)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	case "json":
		text, err := json.MarshalIndent(map[string]any{"config": cfg, "settings": cfg.Rows(origins)}, "", "  ")
		if err != nil {
			return fmt.Errorf("render configuration: %w", err)
		}
		_, err = fmt.Fprintf(w, "%s\n", text)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tORIGIN")
	for _, r := range cfg.Rows(origins) {
		value := r.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Path, value, r.Origin)
	}
	return table.Flush()
}

// validateConfig checks a file alone, without the environment and flags of
// whoever asks. An address that this machine lacks is a note: the file may be
// meant for another one.
func validateConfig(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return hinted{errors.New("kelp config validate takes one file"), "kelp config validate " + config.DefaultFile}
	}
	file := c.Args().First()
	_, _, err := buildConfig(config.LoadOptions{File: file})
	var missing *config.MissingAddressError
	if errors.As(err, &missing) {
		_, err = fmt.Fprintf(c.App.Writer, "%s: valid, but not on this machine: %v\n", file, missing)
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: valid\n", file)
	return err
}

func printSchema(c *cli.Context) error {
	text, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(text)
	return err
}
