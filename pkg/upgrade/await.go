package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/internal/program"
	"github.com/kelp-project/kelp/pkg/trial"
)

const (
	// grace is how much longer than the trial's own time somebody who follows it
	// waits, before it ends a process that does not do so itself.
	grace = 10 * time.Second
	// switchWithin is how long systemd may take to accept a restart.
	switchWithin = 30 * time.Second
	// backWithin is how long the old version may take to be ready again: systemd
	// gives a process that hangs half a minute to stop.
	backWithin = 2 * time.Minute
	// deadFor is how long a service has to be down for being given up.
	deadFor = 3 * time.Second
	// settleWithin is how long components that come after the node are waited for.
	settleWithin = 30 * time.Second
)

// FailedError says that the new version did not become ready.
type FailedError struct {
	Outcome trial.Outcome
	Log     []string // the last lines, where systemd has them
	Back    error    // why the old version is not ready either
}

// Error says so, and why.
func (e *FailedError) Error() string {
	text := fmt.Sprintf("kelp %s was given up: %s", e.Outcome.To, e.Outcome.Reason)
	if e.Back == nil {
		text += fmt.Sprintf("; kelp %s runs again", e.Outcome.From)
	} else {
		text += fmt.Sprintf("; kelp %s is not ready: %v", e.Outcome.From, e.Back)
	}
	if len(e.Log) > 0 {
		text += "\nits log:\n  " + strings.Join(e.Log, "\n  ")
	}
	return text
}

// Switch has the new version start.
func (u *Upgrade) Switch(ctx context.Context) error {
	if u.Running.Unit == "" {
		return u.Restart(ctx)
	}
	// A kelp that restarts itself is told to stop before this has returned.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchWithin)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "systemctl", "restart", "--no-block", u.Running.Unit).CombinedOutput(); err != nil {
		return fmt.Errorf("restart %s: %w: %s", u.Running.Unit, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// errGoesOn is that a trial is not over yet.
var errGoesOn = errors.New("it is on trial")

// Await follows a trial to its end. One whose process does not end it is given up
// here.
func (u *Upgrade) Await(ctx context.Context, r trial.Record) error {
	var o trial.Outcome
	over := func(context.Context) error {
		last, was, err := u.store().Last()
		switch {
		case err != nil:
			return err
		case !was || last.ID != r.ID:
			return errGoesOn
		}
		o = last
		return nil
	}
	var seenDead time.Time
	dead := false
	err := poll.Until(ctx, r.Timeout+grace, func(ctx context.Context) error {
		if err := over(ctx); err == nil {
			return nil
		}
		// A restart passes through the same state.
		if !u.dead(ctx) {
			seenDead = time.Time{}
		} else if seenDead.IsZero() {
			seenDead = time.Now()
		}
		if dead = !seenDead.IsZero() && time.Since(seenDead) > deadFor; dead {
			return nil
		}
		return errGoesOn
	})
	if ctx.Err() != nil {
		return fmt.Errorf("kelp %s is on trial, and goes on by itself: kelp status says how", r.To)
	}
	if over(ctx) != nil {
		why := fmt.Sprintf("it was not ready after %s", r.Timeout)
		if dead && err == nil {
			why = "its process has ended, and the service does not start it again"
		}
		if err := u.giveUp(ctx, r, why); err != nil {
			return err
		}
		if err := poll.Until(ctx, backWithin, over); err != nil {
			return fmt.Errorf("kelp %s was given up, %s, and kelp does not start: %w", r.To, why, err)
		}
	}
	if o.Succeeded {
		u.settle(ctx)
		return nil
	}
	return u.failed(ctx, o)
}

// giveUp ends a trial from outside.
func (u *Upgrade) giveUp(ctx context.Context, r trial.Record, why string) error {
	switch err := u.store().Abandon(r.ID, why); {
	case errors.Is(err, trial.ErrOver):
		return nil // in this very moment
	case err != nil:
		return err
	}
	u.Tell("kelp " + r.To + " is given up: " + why)
	err := u.Switch(ctx)
	if err != nil && u.Running.Unit == "" {
		return u.kill(r)
	}
	return err
}

// kill ends a new version that does not answer, and is no service of systemd's:
// whoever has started kelp starts it again.
func (u *Upgrade) kill(r trial.Record) error {
	path, err := program.PathOf(u.Running.PID)
	if err != nil || path != r.Candidate {
		return nil // it has ended, or is the old version again
	}
	if err := unix.Kill(u.Running.PID, unix.SIGKILL); err != nil {
		return fmt.Errorf("end the new version, process %d: %w", u.Running.PID, err)
	}
	u.Tell(fmt.Sprintf("process %d was ended: start kelp, if nobody else does", u.Running.PID))
	return nil
}

// dead says whether the service has ended and nobody starts it again.
func (u *Upgrade) dead(ctx context.Context) bool {
	if u.Running.Unit == "" {
		return false
	}
	state, err := property(ctx, u.Running.Unit, "ActiveState")
	return err == nil && (state == "failed" || state == "inactive")
}

// settle waits a little for what comes after the node, and tells of what does not come.
func (u *Upgrade) settle(ctx context.Context) {
	err := poll.Until(ctx, settleWithin, u.isReady)
	if err != nil {
		u.Tell(fmt.Sprintf("the node is ready, and not all of kelp: %v; kelp status", err))
	}
}

func (u *Upgrade) isReady(ctx context.Context) error {
	st, err := doctor.Ask(ctx, u.Config.Paths().StatusSocket)
	if err == nil && !st.Ready {
		err = errors.New(st.Line(time.Now()))
	}
	return err
}

// failed tells why a trial has failed, when the old version runs.
func (u *Upgrade) failed(ctx context.Context, o trial.Outcome) error {
	failed := &FailedError{Outcome: o, Back: poll.Until(ctx, backWithin, u.isReady)}
	if u.Running.Unit != "" {
		failed.Log = lastWords(ctx, u.Running.Unit, o)
	}
	return failed
}

// lastWords are what the service has logged in the trial last.
func lastWords(ctx context.Context, unit string, o trial.Outcome) []string {
	const most = 10
	at := func(t time.Time) string { return fmt.Sprintf("@%d.%06d", t.Unix(), t.Nanosecond()/1000) }
	// Its own lines, and not what systemd says of it. With --since, --lines would
	// be the first ones.
	out, err := exec.CommandContext(ctx, "journalctl", "--no-pager", "--output=cat", "--since="+at(o.Began), "--until="+at(o.Ended), "_SYSTEMD_UNIT="+unit).Output()
	if err != nil {
		return nil // what was noted as the reason has to do
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-most):]
}
