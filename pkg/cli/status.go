package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "say how the cluster is, what runs here, since when, and what it waits for; also when the API is down",
		ArgsUsage: " ",
		Description: "Exits with status 0 when every component of this machine is ready, 3 when one is not, and 1 when kelp does\n" +
			"not run. With --wait it may also be on its way up. kelp doctor says why something is not as it should be.",
		Flags: append(ServerFlags(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json", Category: "output"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until every component is ready", DisableDefaultText: true, Category: "status"},
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "how long to wait", Category: "status"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it anew every two seconds, until ctrl-C", DisableDefaultText: true, Category: "status"},
		),
		Action: status,
	}
}

// quiet is the exit status of something that was printed already.
type quiet struct {
	error
	code int
}

// ExitCode is urfave/cli's.
func (q quiet) ExitCode() int { return q.code }

// notReady is the exit status for a component that is not, as systemctl's for
// a unit that is not active.
const notReady = 3

// statusOutput is what kelp status says as JSON: this machine's part, and the
// cluster's beside it.
type statusOutput struct {
	doctor.Status
	Cluster doctor.Overview `json:"cluster"`
}

func status(c *cli.Context) error {
	form := given(c, "output")
	switch {
	case form != "table" && form != "json":
		return fmt.Errorf("output %q is not one of table, json", form)
	case c.Bool("watch") && form == "json":
		return errors.New("--watch is for people: ask for json without it, as often as needed")
	case c.Bool("watch"):
		return watchStatus(c)
	}
	// While it waits it asks for nothing but this machine's part.
	st, err := askStatus(c.Context, config.Default().Paths().StatusSocket, c.Bool("wait"), c.Duration("timeout"))
	if errors.Is(err, doctor.ErrNotRunning) {
		return hinted{err, "kelp doctor says why"}
	}
	if err != nil {
		return err
	}
	if err := printStatus(c.App.Writer, form, st, survey(c, st)); err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	if !st.Ready {
		return quiet{errors.New(st.Line(time.Now())), notReady}
	}
	return nil
}

// survey asks for the cluster, if the configuration says where that is.
func survey(c *cli.Context, st doctor.Status) doctor.Overview {
	cfg, _, err := LoadConfig(c)
	if err != nil {
		return doctor.Overview{Problem: "the configuration is refused: " + err.Error()}
	}
	return doctor.Survey(c.Context, cfg, st)
}

func printStatus(w io.Writer, form string, st doctor.Status, o doctor.Overview) error {
	if form == "json" {
		return printJSON(w, statusOutput{st, o})
	}
	if err := o.Print(w, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return doctor.Table(w, st, time.Now())
}

// watchEvery is how often --watch looks.
const watchEvery = 2 * time.Second

// clearScreen moves to the top left corner and clears what is below.
const clearScreen = "\x1b[H\x1b[2J"

// watchStatus shows the status until somebody ends it, also while kelp is down.
// Each picture is written at once: nothing flickers.
func watchStatus(c *cli.Context) error {
	ctx, cancel := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var picture bytes.Buffer
		picture.WriteString(clearScreen)
		st, err := doctor.Ask(ctx, config.Default().Paths().StatusSocket)
		switch {
		case errors.Is(err, doctor.ErrNotRoot):
			return err
		case err != nil:
			fmt.Fprintln(&picture, err)
		default:
			if err := printStatus(&picture, "table", st, survey(c, st)); err != nil {
				return fmt.Errorf("print the status: %w", err)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if _, err := picture.WriteTo(c.App.Writer); err != nil {
			return fmt.Errorf("print the status: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askStatus asks until all is ready, or once. A kelp that has answered before
// the time was over is not an error, ready or not.
func askStatus(ctx context.Context, socket string, wait bool, limit time.Duration) (doctor.Status, error) {
	st, err := doctor.Ask(ctx, socket)
	if !wait || errors.Is(err, doctor.ErrNotRoot) {
		return st, err
	}
	_ = poll.Until(ctx, limit, func(ctx context.Context) error {
		now, askErr := doctor.Ask(ctx, socket)
		if askErr == nil || ctx.Err() == nil {
			st, err = now, askErr
		}
		if err == nil && !st.Ready {
			return errors.New("not ready")
		}
		return err
	})
	return st, err
}
