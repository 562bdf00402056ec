package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/apiserver"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/encryption"
)

// keysLimit bounds each look at the datastore, so that one that does not answer is
// told of.
const keysLimit = 15 * time.Second

func secretsEncryptCommand() *cli.Command {
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output"}
	wait := &cli.BoolFlag{Name: "no-wait", Usage: "return at once: the servers go on by themselves", DisableDefaultText: true}
	change := func(c encryption.Change, usage string, aliases ...string) *cli.Command {
		return &cli.Command{
			Name: string(c), Aliases: aliases, Usage: usage, ArgsUsage: " ",
			Description: "Runs on a server, as root. The servers do it, without a restart; if this is interrupted they go on, and running it again shows how far they are.",
			Flags:       append(ServerFlags(), wait), Action: func(ctx *cli.Context) error { return changeKeys(ctx, c) },
		}
	}
	return &cli.Command{
		Name:      "secrets-encrypt",
		Usage:     "show how Secrets are encrypted in the datastore, and change their key",
		ArgsUsage: " ",
		Subcommands: []*cli.Command{
			{
				Name: "status", Usage: "show the keys, how many Secrets are encrypted with each, and which servers know them", ArgsUsage: " ",
				Flags: append(ServerFlags(), output), Action: showKeys,
			},
			change(encryption.Rotate, "make a new key, spread it to all servers, and write all Secrets anew with it", "rotate-keys"),
			change(encryption.Rewrite, "write Secrets anew that are not encrypted with the key in use"),
			change(encryption.Enable, "encrypt Secrets again, with a new key"),
			change(encryption.Disable, "write all Secrets as they are; the keys stay, for snapshots"),
		},
	}
}

// withKeys connects to the datastore of this server.
func withKeys(c *cli.Context, do func(config.Config, *clientv3.Client) error) error {
	cfg, err := asRoot(c)
	if err != nil {
		return err
	}
	if apiserver.UsersEncryption(cfg) {
		return errors.New("this server's API is given an encryption-provider-config in args.apiServer: its keys are changed there")
	}
	client, err := datastore.New(cfg).Client()
	if err != nil {
		return err
	}
	defer client.Close()
	err = do(cfg, client)
	if errors.Is(err, context.DeadlineExceeded) {
		return hinted{errors.New("the datastore does not answer"), "does kelp server run on this machine? kelp status tells"}
	}
	return err
}

func keysOf(ctx context.Context, cfg config.Config, client *clientv3.Client) (encryption.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, keysLimit)
	defer cancel()
	return encryption.StatusOf(ctx, cfg.Paths(), client)
}

func showKeys(c *cli.Context) error {
	form := given(c, "output")
	if form != "table" && form != "json" {
		return fmt.Errorf("output %q is not one of table, json", form)
	}
	return withKeys(c, func(cfg config.Config, client *clientv3.Client) error {
		s, err := keysOf(c.Context, cfg, client)
		if err != nil {
			return err
		}
		if form == "json" {
			enc := json.NewEncoder(c.App.Writer)
			enc.SetIndent("", "  ")
			return enc.Encode(s)
		}
		return printKeys(c.App.Writer, s)
	})
}

func printKeys(w io.Writer, s encryption.Status) error {
	use := "Secrets are not encrypted"
	if s.Write != "" {
		use = "Secrets are encrypted"
	}
	fmt.Fprintf(w, "%s; %s\n", use, s.Stage)
	if s.Problem != "" {
		fmt.Fprintf(w, "problem: %s\n", s.Problem)
	}
	if behind := s.Behind(); len(behind) > 0 {
		fmt.Fprintf(w, "not loaded yet, or not running: %s\n", strings.Join(behind, ", "))
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tMADE\tUSE\tSECRETS")
	for _, k := range s.Keys {
		use := "read"
		switch k.Name {
		case s.Write:
			use = "write"
		case s.Next:
			use = "next"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", k.Name, k.Created.Local().Format(time.DateTime), use, k.Secrets)
	}
	if s.Plain > 0 || s.Write == "" {
		fmt.Fprintf(t, "(none)\t\t\t%d\n", s.Plain)
	}
	if s.Foreign > 0 {
		fmt.Fprintf(t, "(unknown)\t\t\t%d\n", s.Foreign)
	}
	return t.Flush()
}

// changeKeys begins a change and follows it to its end.
func changeKeys(c *cli.Context, change encryption.Change) error {
	return withKeys(c, func(cfg config.Config, client *clientv3.Client) error {
		limited, cancel := context.WithTimeout(c.Context, keysLimit)
		defer cancel()
		resumed, err := encryption.Begin(limited, cfg.Paths(), client, change)
		if err != nil {
			return err
		}
		if resumed {
			fmt.Fprintln(c.App.Writer, "a change that was begun before goes on")
		}
		if c.Bool("no-wait") {
			return nil
		}
		return followKeys(c.Context, c.App.Writer, func(ctx context.Context) (encryption.Status, error) { return keysOf(ctx, cfg, client) })
	})
}

// followKeys tells how far a change is until it is done.
func followKeys(ctx context.Context, w io.Writer, look func(context.Context) (encryption.Status, error)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := ""; ; {
		s, err := look(ctx)
		if err != nil {
			return err
		}
		if text := progress(s); text != told {
			told = text
			fmt.Fprintln(w, text)
		}
		if s.Stage == encryption.Settled {
			return nil
		}
		select {
		case <-ctx.Done():
			return hinted{errors.New("interrupted; the servers go on"), "kelp secrets-encrypt status shows how far they are"}
		case <-tick.C:
		}
	}
}

func progress(s encryption.Status) string {
	left, all := s.Plain+s.Foreign, s.Plain+s.Foreign
	for _, k := range s.Keys {
		all += k.Secrets
		if s.Write != "" && k.Name != s.Write {
			left += k.Secrets
		}
	}
	if s.Write == "" {
		left = all - s.Plain
	}
	switch {
	case s.Problem != "":
		return fmt.Sprintf("%s: %s", s.Stage, s.Problem)
	case s.Stage == encryption.Spreading:
		return "all servers learn key " + s.Next
	case s.Stage == encryption.Rewriting:
		return fmt.Sprintf("Secrets are written anew: %d of %d", all-left, all)
	case s.Write == "":
		return fmt.Sprintf("done: %d Secrets are not encrypted", s.Plain)
	}
	return fmt.Sprintf("done: %d Secrets are encrypted with key %s", all-left, s.Write)
}
