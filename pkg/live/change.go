package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
)

// The bounds of a trial: time enough to look, and not so long that it is
// forgotten.
const (
	shortest = 5 * time.Second
	longest  = 24 * time.Hour
)

// Diff says what a text in the place of the file would change of what runs; of
// the file as it is without one. What is refused is an error beside that.
func (f *Follower) Diff(ctx context.Context, instead *config.Text) (changes []config.Change, err error) {
	if asked := f.do(ctx, func(ctx context.Context) { _, _, changes, err = f.want(ctx, instead) }); asked != nil {
		return nil, asked
	}
	return changes, err
}

// Apply puts a text in the place of the file, and takes it. With a time to try,
// the file becomes what it was after that, unless Confirm is called.
func (f *Follower) Apply(ctx context.Context, text config.Text, try time.Duration) (s State, err error) {
	if asked := f.do(ctx, func(ctx context.Context) { s, err = f.change(ctx, text, try) }); asked != nil {
		return State{}, asked
	}
	return s, err
}

func (f *Follower) change(ctx context.Context, text config.Text, try time.Duration) (State, error) {
	found, there, err := f.trials.read()
	switch {
	case err != nil:
		return State{}, err
	case there:
		return State{}, fmt.Errorf("the configuration is on trial until %s: confirm it with kelp config confirm, or wait", found.Until.Format(time.TimeOnly))
	case try != 0 && (try < shortest || try > longest):
		return State{}, fmt.Errorf("a trial takes from %s to %s, and not %s", shortest, config.Duration(longest), config.Duration(try))
	}
	if _, _, _, err := f.want(ctx, &text); err != nil {
		return State{}, err
	}
	var until time.Time
	if try != 0 {
		until = time.Now().Add(try)
	}
	if err := f.trials.replace(text.Data, until); err != nil {
		return State{}, err
	}
	log.G(ctx).WithField("path", f.opts.Source.File).WithField("trial", try != 0).Info("the configuration was replaced")
	f.publish(State{File: f.opts.Source.File, Failed: f.failures()}) // what was taken before is not of this
	f.look(ctx)
	return f.State(), nil
}

// Confirm ends the trial that is under way, and keeps the file.
func (f *Follower) Confirm(ctx context.Context) (err error) {
	if asked := f.do(ctx, func(ctx context.Context) { err = f.keep(ctx) }); asked != nil {
		return asked
	}
	return err
}

func (f *Follower) keep(ctx context.Context) error {
	if _, there, err := f.trials.read(); err != nil {
		return err
	} else if !there {
		return errors.New("no configuration is on trial: it was confirmed before, or is what it was again")
	}
	if err := f.trials.confirm(); err != nil {
		return err
	}
	f.inTrial = false
	f.publish(f.State())
	log.G(ctx).WithField("path", f.opts.Source.File).Info("the configuration was confirmed")
	return nil
}

// revert makes the file what it was before the trial, and takes that. A process
// that was started in the trial has of it what only a restart changes.
func (f *Follower) revert(ctx context.Context) {
	found, there, err := f.trials.read()
	if err == nil && there {
		err = f.trials.undo(found)
	}
	if err != nil {
		f.retry = time.Now().Add(lookEvery)
		log.G(ctx).WithError(err).WithField("next", lookEvery).Error("the configuration on trial was not confirmed, and cannot be made what it was")
		return
	}
	log.G(ctx).WithField("path", f.opts.Source.File).WithField("kept", f.trials.reverted()).Warn("the configuration was not confirmed in time, and is what it was before")
	f.look(ctx)
	if f.inTrial && len(f.State().NeedsRestart) > 0 && f.opts.Restart != nil {
		log.G(ctx).Warn("kelp was started with the configuration that was on trial, and starts anew without it")
		f.opts.Restart()
	}
	f.inTrial = false
}
