package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
)

func etcdCommand() *cli.Command {
	return &cli.Command{
		Name:  "etcd",
		Usage: "look at etcd, on one of its servers",
		Subcommands: []*cli.Command{{
			Name:  "members",
			Usage: "list the members of etcd: who votes, who leads, and who is behind",
			Flags: append(ServerFlags(), &cli.StringFlag{
				Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output",
			}),
			Action: members,
		}},
	}
}

func members(c *cli.Context) error {
	cfg, _, err := LoadConfig(c)
	if err != nil {
		return err
	}
	switch datastore.Kind(cfg) {
	case config.DatastoreExternal:
		return errors.New("the datastore is external: kelp runs no member of it")
	case config.DatastoreSQLite:
		return errors.New("the datastore of this server is SQLite: it moves to etcd when another server joins")
	}
	client, err := datastore.New(cfg).Client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := voters.Observe(c.Context, client)
	if err != nil {
		return err
	}
	switch form := given(c, "output"); form {
	case "json":
		encoder := json.NewEncoder(c.App.Writer)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	case "table":
		return printMembers(c.App.Writer, list)
	default:
		return fmt.Errorf("there is no output format %q: choose table or json", form)
	}
}

func printMembers(w io.Writer, list []voters.Member) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tBEHIND\tSIZE\tREVISION\tADDRESS\tPROBLEM")
	for _, m := range list {
		role := "voter"
		switch {
		case m.Learner:
			role = "learner"
		case m.Leader:
			role = "leader"
		}
		name := m.Name
		if name == "" {
			name = "(joining)"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%.1f MB\t%d\t%s\t%s\n", name, role, m.Behind, float64(m.DBSize)/1e6, m.Revision, strings.Join(m.URLs, ","), m.Problem)
	}
	return table.Flush()
}
