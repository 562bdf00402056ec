package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/kelp-project/kelp/pkg/trial"
)

// Rollback goes back to the version before: it ends the trial that is under way,
// or has the program that was kept go the way of any other new version.
func (u *Upgrade) Rollback(ctx context.Context, timeout time.Duration) error {
	r, there, err := u.store().Read()
	if err != nil {
		return err
	}
	if there {
		if err := u.giveUp(ctx, r, "it was rolled back by hand"); err != nil {
			return err
		}
		var failed *FailedError
		if err := u.Await(ctx, r); !errors.As(err, &failed) || failed.Back != nil {
			return err
		}
		return nil
	}
	kept := trial.Previous(u.Running.Program)
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no version to go back to: %s is kept by an upgrade, and there was none", kept)
	}
	return u.Run(ctx, Request{Source: kept, Timeout: timeout})
}

// Run is a whole upgrade.
func (u *Upgrade) Run(ctx context.Context, r Request) error {
	record, err := u.Prepare(ctx, r)
	if err != nil {
		return err
	}
	u.Tell("restarting kelp; pods run on")
	if err := u.Switch(ctx); err != nil {
		return errors.Join(err, u.store().Abandon(record.ID, "kelp could not be restarted: "+err.Error()))
	}
	return u.Await(ctx, record)
}
