package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "say what runs, since when, and what it waits for; also when the API is down",
		ArgsUsage: " ",
		Description: "Exits with status 0 when every component is ready, 3 when one is not, and 1 when kelp does not run.\n" +
			"With --wait it may also be on its way up.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "the `form` of the output: table or json"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until every component is ready"},
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "how long to wait"},
		},
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

func status(c *cli.Context) error {
	form := given(c, "output")
	if form != "table" && form != "json" {
		return fmt.Errorf("output %q is not one of table, json", form)
	}
	st, err := askStatus(c.Context, config.Default().Paths().StatusSocket, c.Bool("wait"), c.Duration("timeout"))
	if err != nil {
		return err
	}
	if form == "json" {
		enc := json.NewEncoder(c.App.Writer)
		enc.SetIndent("", "  ")
		err = enc.Encode(st)
	} else {
		err = doctor.Table(c.App.Writer, st, time.Now())
	}
	if err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	if !st.Ready {
		return quiet{errors.New(st.Line(time.Now())), notReady}
	}
	return nil
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
