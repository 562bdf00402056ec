package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/snapshots"
)

func bucketOf(c *cli.Context, cfg config.Config) (*snapshots.Bucket, error) {
	return snapshots.OpenBucket(c.Context, cfg.S3, func() (kubernetes.Interface, error) {
		rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
		if err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
		rest.Timeout = 15 * time.Second
		client, err := kubernetes.NewForConfig(rest)
		if err != nil {
			return nil, fmt.Errorf("make client: %w", err)
		}
		return client, nil
	})
}

func listCopies(c *cli.Context, cfg config.Config) error {
	b, err := bucketOf(c, cfg)
	if err != nil {
		return err
	}
	list, err := b.List(c.Context)
	if err != nil {
		return err
	}
	if given(c, "output") == "json" {
		return printJSON(c.App.Writer, append([]snapshots.Copy{}, list...))
	}
	t := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSIZE\tCOPIED\tURL")
	for _, e := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Name, size(e.Size), e.Made.Local().Format(time.DateTime), e.URL)
	}
	return t.Flush()
}

func uploadSnapshots(c *cli.Context) error {
	return eachCopy(c, func(b *snapshots.Bucket, dir snapshots.Dir, name string) error {
		url, err := dir.Copy(c.Context, b, name)
		if err == nil {
			fmt.Fprintf(c.App.Writer, "%s is copied to %s\n", name, url)
		}
		return err
	})
}

func downloadSnapshots(c *cli.Context) error {
	return eachCopy(c, func(b *snapshots.Bucket, dir snapshots.Dir, name string) error {
		if err := dir.Make(); err != nil {
			return err
		}
		e, err := b.Download(c.Context, name, dir.Path(filepath.Base(name)))
		if err == nil {
			fmt.Fprintf(c.App.Writer, "%s: revision %d, %d keys, %s\n", e.Location, e.Revision, e.Summary.Keys, size(e.Size))
		}
		return err
	})
}

func eachCopy(c *cli.Context, do func(*snapshots.Bucket, snapshots.Dir, string) error) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return hinted{errors.New("no snapshot is named"), "kelp snapshot list, and list --s3, show them"}
	}
	b, err := bucketOf(c, cfg)
	if err != nil {
		return err
	}
	for _, name := range c.Args().Slice() {
		if err := do(b, dir, name); err != nil {
			return err
		}
	}
	return nil
}
