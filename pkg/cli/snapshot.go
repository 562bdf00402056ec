package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/containerd/log"
	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/server"
	"github.com/kelp-project/kelp/pkg/snapshots"
)

func snapshotCommand() *cli.Command {
	output := &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output"}
	return &cli.Command{
		Name:      "snapshot",
		Aliases:   []string{"etcd-snapshot"},
		Usage:     "save, list, verify and restore snapshots of the datastore, SQLite's and etcd's alike",
		ArgsUsage: " ",
		Subcommands: []*cli.Command{
			{
				Name: "save", Usage: "make a snapshot now, read it back, and print where it is", ArgsUsage: " ",
				Description: "It is kept until you delete it. Scheduled snapshots are made without this: see snapshots in the configuration.",
				Flags: append(ServerFlags(),
					&cli.StringFlag{Name: "name", Usage: "what the name of the snapshot begins with", DefaultText: "on-demand", Category: "snapshot"},
					output),
				Action: saveSnapshot,
			},
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the snapshots on this server: age, size, revision, where they are, when they were read last", ArgsUsage: " ",
				Flags: append(ServerFlags(), &cli.BoolFlag{Name: "s3", Usage: "list the copies in the object store", DisableDefaultText: true, Category: "snapshot"}, output), Action: listSnapshots,
			},
			{
				Name: "delete", Aliases: []string{"rm"}, Usage: "delete snapshots by name", ArgsUsage: "NAME...",
				Flags: ServerFlags(), Action: deleteSnapshots,
			},
			{
				Name: "prune", Usage: "delete scheduled snapshots that are more, or older, than are to be kept", ArgsUsage: " ",
				Description: "A running server does so by itself. Snapshots that were asked for, or are pinned, stay.",
				Flags:       ServerFlags(), Action: pruneSnapshots,
			},
			{
				Name: "upload", Usage: "copy snapshots to the object store now", ArgsUsage: "NAME...",
				Description: "A running server does so by itself where s3.bucket is set.",
				Flags:       ServerFlags(), Action: uploadSnapshots,
			},
			{
				Name: "download", Usage: "copy snapshots from the object store into the directory of this server", ArgsUsage: "NAME...",
				Flags: ServerFlags(), Action: downloadSnapshots,
			},
			{
				Name: "verify", Usage: "read snapshots from end to end, restore each into a scratch directory, and start a datastore on that", ArgsUsage: "[NAME or FILE...]",
				Description: "Without a name, all of them. What runs is not touched; the scratch directory is beside the data, and needs as much room.",
				Flags:       ServerFlags(), Action: verifySnapshots,
			},
			{
				Name: "restore", Usage: "make the datastore what a snapshot holds, while kelp is stopped", ArgsUsage: "NAME, FILE or s3://BUCKET/KEY",
				Description: "The datastore is built beside the one that is there, read back, and takes its place; what was there is kept, and in a\n" +
					"snapshot of its own. A machine without the cluster's keys needs the server token, with --token-file. Then start kelp.\n" +
					"With more servers: stop kelp on all of them, restore on one and start it; then start the others, which rejoin.",
				Flags: ServerFlags(), Action: restoreSnapshot,
			},
		},
	}
}

func snapshotDir(c *cli.Context) (config.Config, snapshots.Dir, error) {
	cfg, _, err := LoadConfig(c)
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("snapshots hold the cluster's secrets and are root's alone: use sudo")
	}
	return cfg, snapshots.Dir(cfg.SnapshotDir()), err
}

func saveSnapshot(c *cli.Context) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	name := snapshots.OnDemand
	if c.IsSet("name") {
		name = c.String("name")
	}
	if !config.SnapshotName(name) {
		return fmt.Errorf("name %q is not made of lower-case letters, digits and dashes", name)
	}
	giveWay(c.Context)
	e, err := snapshots.Save(c.Context, cfg, snapshots.Request{Name: name, Reason: snapshots.OnDemand, Dir: dir})
	if err != nil {
		return err
	}
	if given(c, "output") == "json" {
		return printJSON(c.App.Writer, e)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: revision %d, %d keys, %s\n", e.Location, e.Revision, e.Summary.Keys, size(e.Size))
	return err
}

// giveWay lets kelp's own work, which goes on beside the command, go first. Where
// that cannot be had, the work is done all the same.
func giveWay(ctx context.Context) {
	if err := process.Yield(); err != nil {
		log.G(ctx).WithError(err).Debug("the command works at the priority of others")
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func listSnapshots(c *cli.Context) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	if c.Bool("s3") {
		return listCopies(c, cfg)
	}
	list, err := dir.List()
	if err != nil {
		return err
	}
	switch form := given(c, "output"); form {
	case "json":
		return printJSON(c.App.Writer, append([]snapshots.Entry{}, list...))
	case "table":
		return printSnapshots(c.App.Writer, list, time.Now())
	default:
		return fmt.Errorf("output %q is not one of table, json", form)
	}
}

func printSnapshots(w io.Writer, list []snapshots.Entry, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tAGE\tSIZE\tREVISION\tKEYS\tREASON\tVERIFIED\tLOCATION")
	for _, e := range list {
		verified := "never"
		switch {
		case e.Problem != "":
			verified = "BAD: " + e.Problem
		case !e.Verified.IsZero():
			verified = e.Verified.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", e.Name, now.Sub(e.Created).Round(time.Second), size(e.Size), e.Revision, e.Summary.Keys, e.Reason, verified, e.Location)
	}
	return t.Flush()
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func deleteSnapshots(c *cli.Context) error {
	_, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return hinted{errors.New("no snapshot is named"), "kelp snapshot list shows them"}
	}
	for _, name := range c.Args().Slice() {
		if err := dir.Delete(name); err != nil {
			return err
		}
		fmt.Fprintf(c.App.Writer, "deleted %s\n", name)
	}
	return nil
}

func pruneSnapshots(c *cli.Context) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	r := snapshots.Retention{Keep: cfg.Snapshots.Retain, MaxAge: time.Duration(cfg.Snapshots.MaxAge)}
	gone, err := dir.Prune(r, cfg.Node.Name, time.Now())
	for _, e := range gone {
		fmt.Fprintf(c.App.Writer, "deleted %s\n", e.Name)
	}
	return err
}

func verifySnapshots(c *cli.Context) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	names := c.Args().Slice()
	if len(names) == 0 {
		list, err := dir.List()
		if err != nil {
			return err
		}
		for _, e := range list {
			names = append(names, e.Name)
		}
	}
	giveWay(c.Context)
	var bad []error
	for _, name := range names {
		e, err := snapshots.Drill(c.Context, cfg, dir.Path(name))
		if err != nil {
			bad = append(bad, err)
			continue
		}
		fmt.Fprintf(c.App.Writer, "%s is good: revision %d, %d keys; a datastore started on it has them all\n", name, e.Revision, e.Summary.Keys)
	}
	return errors.Join(bad...)
}

func restoreSnapshot(c *cli.Context) error {
	cfg, dir, err := snapshotDir(c)
	if err != nil {
		return err
	}
	if c.NArg() != 1 {
		return hinted{fmt.Errorf("one snapshot is to be named, and %d are", c.NArg()), "kelp snapshot list shows them"}
	}
	ctx, cancel := process.Setup(cfg.Log, cfg.Debug)
	defer cancel()
	file, err := snapshots.Fetch(ctx, cfg, c.Args().First(), snapshots.NoAPI)
	if err != nil {
		return err
	}
	r, err := server.Restore(ctx, cfg, dir.Path(file))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "restored %s. Start kelp now; what was there before is kept:\n", r.File)
	for _, path := range r.Kept {
		fmt.Fprintln(c.App.Writer, "  "+path)
	}
	return nil
}
