package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/authorities"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
)

func rotateCACommand() *cli.Command {
	return &cli.Command{
		Name: "rotate-ca", Usage: "give the cluster's authorities successors, on all servers, without a restart", ArgsUsage: " ",
		Description: "Runs on a server, as root. Each new authority is signed by the one before it, too: whoever trusts that one trusts the new one's\n" +
			"certificates, and tokens and kubeconfigs go on working. Servers that are down follow when they are back, agents by themselves.",
		Flags: append(ServerFlags(),
			&cli.StringFlag{Name: "from", Usage: "take the authorities whose NAME.crt and NAME.key are in `DIR`: " + strings.Join(pki.AuthorityNames, ", ") + "; the others are made anew"},
			&cli.BoolFlag{Name: "status", Usage: "change nothing; show which servers have the cluster's authorities", DisableDefaultText: true},
			&cli.BoolFlag{Name: "no-wait", Usage: "return at once: the servers go on by themselves", DisableDefaultText: true}),
		Action: rotateAuthorities,
	}
}

func rotateAuthorities(c *cli.Context) error {
	cfg, err := asRoot(c)
	if err != nil {
		return err
	}
	client, err := serverClient(cfg)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (authorities.Status, error) {
		servers, err := join.Servers(ctx, client)
		if err != nil {
			return authorities.Status{}, err
		}
		return authorities.StatusOf(ctx, client, servers)
	}
	if c.Bool("status") {
		s, err := look(c.Context)
		if err != nil {
			return err
		}
		return printAuthorities(c.App.Writer, s)
	}
	var given map[string]pki.Pair
	if dir := c.String("from"); dir != "" {
		if given, err = readPairs(dir); err != nil {
			return err
		}
	}
	generation, err := authorities.Succeed(c.Context, cfg, client, given, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "generation %d of the authorities is made\n", generation)
	if c.Bool("no-wait") {
		return nil
	}
	return followAuthorities(c.Context, c.App.Writer, look)
}

// serverClient is kelp's own, as a kubeconfig of the user's may be another
// cluster's.
func serverClient(cfg config.Config) (kubernetes.Interface, error) {
	path := pki.KubeconfigOf(cfg.Paths(), pki.Kelp)
	if _, err := os.Stat(path); err != nil {
		return nil, hinted{errors.New("this machine is no server of a cluster yet"), "run this on a server"}
	}
	rest, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.Timeout = keysLimit
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return client, nil
}

// readPairs reads the authorities that a person brings.
func readPairs(dir string) (map[string]pki.Pair, error) {
	pairs := map[string]pki.Pair{}
	var problems []error
	for _, name := range pki.AuthorityNames {
		files := pki.Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
		if _, err := os.Stat(files.Cert); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(files.Key); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		p, err := pki.ReadPair(files)
		if err != nil {
			problems = append(problems, fmt.Errorf("authority %s: %w", name, err))
		}
		pairs[name] = p
	}
	if len(pairs) == 0 && len(problems) == 0 {
		problems = append(problems, fmt.Errorf("there is no authority in %s: files are called %s.crt and %s.key, and so on", dir, pki.ServerCA, pki.ServerCA))
	}
	return pairs, errors.Join(problems...)
}

// followAuthorities tells how far the servers are until all have adopted.
func followAuthorities(ctx context.Context, w io.Writer, look func(context.Context) (authorities.Status, error)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := ""; ; {
		s, err := look(ctx)
		if err != nil {
			return err
		}
		behind := s.Behind()
		if len(behind) == 0 {
			return printAuthorities(w, s)
		}
		slices.Sort(behind)
		if text := "not adopted yet by " + strings.Join(behind, ", "); text != told {
			told = text
			fmt.Fprintln(w, text)
		}
		select {
		case <-ctx.Done():
			return hinted{errors.New("interrupted; the servers go on"), "kelp certificate rotate-ca --status shows how far they are"}
		case <-tick.C:
		}
	}
}

func printAuthorities(w io.Writer, s authorities.Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "SERVER\tGENERATION (of %d)\n", s.Generation)
	for _, address := range slices.Sorted(maps.Keys(s.Adopted)) {
		fmt.Fprintf(t, "%s\t%d\n", address, s.Adopted[address])
	}
	return t.Flush()
}
