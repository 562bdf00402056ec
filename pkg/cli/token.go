package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
)

func tokenCommand() *cli.Command {
	output := &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output",
	}
	role := &cli.StringFlag{Name: "role", Value: string(token.Agent), Usage: "what the token lets in: server or agent"}
	return &cli.Command{
		Name:      "token",
		Usage:     "make, list and withdraw the tokens with which machines join",
		ArgsUsage: " ",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a token and print it; the cluster keeps a hash, so this is the only time", ArgsUsage: " ",
				Flags: append(ServerFlags(), role,
					&cli.DurationFlag{Name: "ttl", Value: 24 * time.Hour, Usage: "how long the token is good for; 0 for ever"},
					&cli.BoolFlag{Name: "once", Usage: "the token is good for one machine", DisableDefaultText: true},
					&cli.StringFlag{Name: "for", Usage: "the `NODE` that the token is for: a new machine may take its name, and no other one"},
					&cli.StringFlag{Name: "description", Usage: "what kelp token list says of it"},
				),
				Action: createToken,
			},
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the tokens, without their secrets", ArgsUsage: " ",
				Flags: append(ServerFlags(), output), Action: listTokens,
			},
			{
				Name: "delete", Aliases: []string{"rm"}, Usage: "withdraw tokens; machines that have joined stay", ArgsUsage: "ID...",
				Flags: ServerFlags(), Action: deleteTokens,
			},
			{
				Name: "rotate", Usage: "give the cluster's own token a new secret; the old one lets nobody in any more", ArgsUsage: " ",
				Description: "Runs on a server, as root: the new token is written to the file that holds the old one.",
				Flags:       append(ServerFlags(), role), Action: rotateToken,
			},
		},
	}
}

func createToken(c *cli.Context) error {
	role, err := roleOf(given(c, "role"))
	if err != nil {
		return err
	}
	ttl := c.Duration("ttl")
	if ttl < 0 {
		return fmt.Errorf("ttl %s is in the past", ttl)
	}
	store, config, err := tokenStore(c)
	if err != nil {
		return err
	}
	hash, err := hashOf(config)
	if err != nil {
		return err
	}
	t, now := token.New(hash, role, token.NewID()), time.Now()
	record := token.RecordOf(t, now)
	record.Once, record.Node, record.Description = c.Bool("once"), c.String("for"), c.String("description")
	if ttl > 0 {
		record.Expires = now.Add(ttl)
	}
	if err := store.Put(c.Context, record); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.App.Writer, t.Text())
	return err
}

func roleOf(text string) (token.Role, error) {
	switch r := token.Role(text); r {
	case token.Server, token.Agent:
		return r, nil
	}
	return "", fmt.Errorf("role %q is not one of server, agent", text)
}

// tokenStore is that of the cluster that kubectl would speak to.
func tokenStore(c *cli.Context) (*token.Store, *rest.Config, error) {
	if err := defaultKubeconfig(toolConfig(c).Kubeconfig.Path); err != nil {
		return nil, nil, err
	}
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := loading.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, nil, hinted{errors.New("there is no kubeconfig on this machine"), "run this on a server, or set KUBECONFIG"}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.Timeout = 15 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make client: %w", err)
	}
	return token.NewStore(client), config, nil
}

// hashOf names the cluster by the authority that the kubeconfig trusts, which
// is what servers show to joiners.
func hashOf(config *rest.Config) (string, error) {
	text := config.CAData
	if len(text) == 0 && config.CAFile != "" {
		var err error
		if text, err = os.ReadFile(config.CAFile); err != nil {
			return "", fmt.Errorf("read the cluster's authority: %w", err)
		}
	}
	chain, err := pki.ParseChain(text)
	if err != nil {
		return "", fmt.Errorf("the kubeconfig's authority: %w", err)
	}
	return pki.HashOf(pki.Founder(chain)), nil
}

func listTokens(c *cli.Context) error {
	store, _, err := tokenStore(c)
	if err != nil {
		return err
	}
	records, err := store.List(c.Context)
	if err != nil {
		return err
	}
	switch form := given(c, "output"); form {
	case "json":
		enc := json.NewEncoder(c.App.Writer)
		enc.SetIndent("", "  ")
		return enc.Encode(append([]token.Record{}, records...))
	case "table":
		return printTokens(c.App.Writer, records, time.Now())
	default:
		return fmt.Errorf("output %q is not one of table, json", form)
	}
}

func printTokens(w io.Writer, records []token.Record, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tROLE\tCREATED\tEXPIRES\tUSES\tFOR\tDESCRIPTION")
	for _, r := range records {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Role, r.Created.Local().Format(time.DateTime), expiry(r, now), uses(r), cmp.Or(r.Node, "any"), r.Description)
	}
	return t.Flush()
}

func expiry(r token.Record, now time.Time) string {
	switch {
	case r.Expires.IsZero():
		return "never"
	case now.After(r.Expires):
		return "expired"
	}
	return "in " + r.Expires.Sub(now).Round(time.Minute).String()
}

func uses(r token.Record) string {
	switch {
	case !r.Once:
		return "any"
	case r.Used.IsZero():
		return strconv.Itoa(1)
	}
	return "used"
}

func deleteTokens(c *cli.Context) error {
	if !c.Args().Present() {
		return hinted{errors.New("no token is named"), "kelp token list shows their ids"}
	}
	store, _, err := tokenStore(c)
	if err != nil {
		return err
	}
	for _, id := range c.Args().Slice() {
		if id == string(token.Server) || id == string(token.Agent) {
			return hinted{fmt.Errorf("%s is the cluster's own token, which a start would make again", id), "kelp token rotate --role=" + id + " makes it useless to whoever knows it"}
		}
		if err := deleteToken(c.Context, store, id); err != nil {
			return err
		}
		fmt.Fprintf(c.App.Writer, "token %s is withdrawn\n", id)
	}
	return nil
}

// deleteToken takes an id, or a whole token.
func deleteToken(ctx context.Context, store *token.Store, id string) error {
	if t, err := token.Parse(id); err == nil && t.ID != "" {
		id = t.ID
	}
	err := store.Delete(ctx, id)
	if errors.Is(err, token.ErrNotFound) {
		return hinted{fmt.Errorf("there is no token with the id %.20q", id), "kelp token list shows their ids"}
	}
	return err
}

func rotateToken(c *cli.Context) error {
	role, err := roleOf(given(c, "role"))
	if err != nil {
		return err
	}
	cfg, err := asRoot(c)
	if err != nil {
		return err
	}
	store, _, err := tokenStore(c)
	if err != nil {
		return err
	}
	path, err := token.Rotate(c.Context, cfg, store, role, time.Now())
	if err != nil {
		return err
	}
	if role == token.Server && datastore.Kind(cfg) == config.DatastoreExternal {
		client, err := datastore.New(cfg).Client()
		if err != nil {
			return err
		}
		defer client.Close()
		if err := join.Reseal(c.Context, cfg, client); err != nil {
			return fmt.Errorf("the token is another one now, but a new server cannot take the cluster's keys with it: %w; run this again", err)
		}
	}
	_, err = fmt.Fprintf(c.App.Writer, "the cluster's new token for %ss is in %s\n", role, path)
	return err
}
