package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/agent"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/rollout"
	"github.com/kelp-project/kelp/pkg/server"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/upgrade"
)

func upgradeCommand() *cli.Command {
	return &cli.Command{
		Name:      "upgrade",
		Usage:     "replace the kelp that runs on this machine by another version, and go back by itself if that does not come up",
		ArgsUsage: "FILE or URL",
		Description: "A URL is that of a program, or of a directory that make dist makes, and a .sha256 file or SHA256SUMS has to be\n" +
			"beside the program. All that can be refused is before anything changes: the new program itself takes the configuration\n" +
			"and a copy of the data before. On a server a snapshot is saved. Pods run on. The version before is kept, for --rollback.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "rollback", Usage: "go back to the version before, also while the new one is on trial", DisableDefaultText: true},
			&cli.BoolFlag{Name: "cluster", Usage: "upgrade all nodes, one after the other, servers first; on a server", DisableDefaultText: true},
			&cli.BoolFlag{Name: "cordon", Usage: "with --cluster: let no new pods come to a node while it is upgraded", DisableDefaultText: true},
			&cli.BoolFlag{Name: "drain", Usage: "with --cluster: evict the pods of a node before it is upgraded", DisableDefaultText: true},
			&cli.DurationFlag{Name: "timeout", Value: upgrade.DefaultTimeout, Usage: "how long the new version may take to be ready"},
			&cli.StringFlag{Name: "sha256", Usage: "the `checksum` that the program must have, in place of what is beside it"},
			&cli.StringFlag{Name: "public-key", Usage: "a `file` with the public key (PEM) that must have signed the program, as the .sig file beside it says"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json"},
		},
		Subcommands: []*cli.Command{{
			Name: upgrade.Rehearse, Hidden: true, Usage: "for kelp upgrade to call: do what can be done of a start beside the kelp that runs",
			Action: rehearse,
		}},
		Action: runUpgrade,
	}
}

func runUpgrade(c *cli.Context) error {
	if err := checkUpgradeFlags(c); err != nil {
		return err
	}
	form := given(c, "output")
	ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	u, err := thisMachine(ctx, func(line string) { fmt.Fprintln(toldTo(c, form), line) })
	if err != nil {
		return err
	}
	r := upgrade.Request{Source: c.Args().First(), SHA256: c.String("sha256"), PublicKey: c.String("public-key"), Timeout: c.Duration("timeout")}
	switch {
	case c.Bool("cluster"):
		return upgradeCluster(ctx, c, form, u, rollout.Request{Request: r, Cordon: c.Bool("cordon"), Drain: c.Bool("drain")})
	case c.Bool("rollback"):
		err = u.Rollback(ctx, r.Timeout)
	default:
		err = u.Run(ctx, r)
	}
	return reportUpgrade(c, form, u, err)
}

// checkUpgradeFlags refuses what contradicts itself, and whoever is not root.
func checkUpgradeFlags(c *cli.Context) error {
	form, back := given(c, "output"), c.Bool("rollback")
	switch {
	case form != "table" && form != "json":
		return fmt.Errorf("output %q is not one of table, json", form)
	case back && c.NArg() > 0:
		return errors.New("kelp upgrade --rollback goes to the version before, and takes no file")
	case !back && c.NArg() != 1:
		return hinted{errors.New("kelp upgrade takes one file or URL"), "kelp upgrade ./kelp-amd64, or kelp upgrade https://kelp.example/"}
	case back && c.Bool("cluster"):
		return errors.New("--rollback is for one machine: on each one, or kelp upgrade --cluster with the version before")
	case !c.Bool("cluster") && (c.Bool("cordon") || c.Bool("drain")):
		return errors.New("--cordon and --drain are for --cluster: the pods of one machine run on")
	case c.Duration("timeout") <= 0:
		return errors.New("--timeout has to be longer than nothing")
	case os.Geteuid() != 0:
		return errors.New("only root may upgrade kelp: use sudo")
	}
	return nil
}

func upgradeCluster(ctx context.Context, c *cli.Context, form string, u *upgrade.Upgrade, r rollout.Request) error {
	made, err := rollout.Start(ctx, u, r)
	if err != nil {
		return err
	}
	u.Tell("made the upgrade " + made.Name)
	ended, err := rollout.Await(ctx, u.Config, made, u.Tell)
	if form == "json" {
		ended.ManagedFields = nil // says nothing to whoever reads this
		return errors.Join(err, printJSON(c.App.Writer, ended))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "all %d nodes have kelp %s\n", len(ended.Status.Nodes), ended.Spec.Version)
	return err
}

// toldTo is where it is told what is done: not between what a program reads.
func toldTo(c *cli.Context, form string) io.Writer {
	if form == "json" {
		return c.App.ErrWriter
	}
	return c.App.Writer
}

// reportUpgrade tells how it has ended.
func reportUpgrade(c *cli.Context, form string, u *upgrade.Upgrade, err error) error {
	var same *upgrade.SameError
	if errors.As(err, &same) {
		if form == "json" {
			return printJSON(c.App.Writer, trial.Outcome{From: same.Version, To: same.Version, Succeeded: true})
		}
		_, err := fmt.Fprintln(c.App.Writer, same)
		return err
	}
	var failed *upgrade.FailedError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	last, _, readErr := trial.Store{Dir: u.Config.Paths().Upgrade}.Last()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	switch {
	case form == "json":
		if printErr := printJSON(c.App.Writer, last); printErr != nil || err == nil {
			return printErr
		}
		return err
	case err != nil:
		return hinted{err, "kelp status shows what runs; nothing has to be undone"}
	}
	runs := last.To
	if !last.Succeeded { // a trial that was ended by hand
		runs = last.From
	}
	_, err = fmt.Fprintf(c.App.Writer, "kelp %s runs, and is ready\n", runs)
	return err
}

// thisMachine is an upgrade of the kelp that runs here.
func thisMachine(ctx context.Context, tell func(string)) (*upgrade.Upgrade, error) {
	socket := config.Default().Paths().StatusSocket
	running, err := upgrade.Look(ctx, socket)
	if errors.Is(err, doctor.ErrNotRunning) {
		return nil, hinted{err, "start it before it is upgraded; of one that cannot start, put the new program in the place of the old one"}
	}
	if err != nil {
		return nil, err
	}
	cfg, err := configOf(ctx, running.Role, running.Args, running.Env)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the kelp that runs: %w", err)
	}
	return &upgrade.Upgrade{Running: running, Config: cfg, Tell: tell, Restart: upgrade.RestartOver(socket)}, nil
}

// configOf is the configuration of a kelp that was started with these arguments
// in this environment.
func configOf(ctx context.Context, role string, args, env []string) (cfg config.Config, err error) {
	command := serverCommand()
	if role == "agent" {
		command = agentCommand()
	}
	command.Subcommands = nil
	command.Action = func(c *cli.Context) (err error) {
		opts := loadOptions(c)
		opts.Env = env
		if opts.File == "" {
			opts.File = valueOf(env, config.FileEnv)
		}
		cfg, _, err = buildConfig(opts)
		return err
	}
	app := &cli.App{
		Name: "kelp", Commands: []*cli.Command{command}, DisableSliceFlagSeparator: true,
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: usageError,
	}
	onUsageError(app.Commands)
	err = app.RunContext(ctx, append([]string{"kelp", role}, args...))
	return cfg, err
}

func rehearse(c *cli.Context) error {
	const most = 1 << 20 // of arguments: the kernel takes no more
	text, err := io.ReadAll(io.LimitReader(os.Stdin, most))
	if err != nil {
		return fmt.Errorf("read what to rehearse: %w", err)
	}
	r, err := upgrade.ParseRehearsal(text)
	if err != nil {
		return err
	}
	cfg, err := configOf(c.Context, r.Role, r.Args, os.Environ())
	if err != nil {
		return err
	}
	if r.Role == "agent" {
		return agent.Rehearse(c.Context, cfg)
	}
	return server.Rehearse(c.Context, cfg, r.Snapshot)
}
