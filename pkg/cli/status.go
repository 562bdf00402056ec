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
		Name:  "status",
		Usage: "say what runs, since when, and what it waits for; also when the API is down",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "table", Usage: "table or json"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until every component is ready"},
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "how long to wait"},
		},
		Action: status,
	}
}

// errNotReady makes the exit status of a status that was printed.
type errNotReady struct{ error }

// ExitCode is 3, as systemctl's for a unit that is not active.
func (errNotReady) ExitCode() int { return 3 }

func status(c *cli.Context) error {
	render := func(st doctor.Status) error { return doctor.Table(c.App.Writer, st, time.Now()) }
	switch out := c.String("output"); out {
	case "table":
	case "json":
		render = func(st doctor.Status) error {
			enc := json.NewEncoder(c.App.Writer)
			enc.SetIndent("", "  ")
			return enc.Encode(st)
		}
	default:
		return fmt.Errorf("kelp status: --output %q is neither table nor json", out)
	}
	socket := config.Default().Paths().StatusSocket
	st, err := doctor.Ask(c.Context, socket)
	if c.Bool("wait") {
		waited := poll.Until(c.Context, c.Duration("timeout"), func(ctx context.Context) error {
			if st, err = doctor.Ask(ctx, socket); err != nil {
				return err
			}
			if !st.Ready {
				return fmt.Errorf("waiting for %s", st.Pending())
			}
			return nil
		})
		if err == nil && waited != nil {
			return errors.Join(render(st), errNotReady{waited})
		}
	}
	if err != nil {
		return err
	}
	if err := render(st); err != nil {
		return err
	}
	if !st.Ready {
		return errNotReady{fmt.Errorf("not ready: waiting for %s", st.Pending())}
	}
	return nil
}
