package live

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/watch"
)

// lookEvery is for what inotify does not tell: a network file system, a link's
// target, an applier that failed.
const lookEvery = time.Minute

// Source is where the configuration of a running process comes from.
type Source struct {
	// File is the configuration file; it need not exist.
	File string
	// Load reads all sources as the start did, with a text in place of the file,
	// if there is one. What it returns is complete and valid.
	Load func(instead *config.Text) (config.Config, config.Origins, error)
	// Origins are those of the configuration that the process has started with.
	Origins config.Origins
}

// Applier is a part of kelp that takes new values of some settings.
type Applier struct {
	Name     string
	Settings []string // their paths
	Apply    func(context.Context, config.Config) error
}

// Options are what a follower is made from.
type Options struct {
	Source  Source
	Running config.Config // what the process has started with
	// Also are files that the configuration is made from beside its own.
	Also []string
	// Appliers take what changes, in this order.
	Appliers []Applier
	// Check refuses what a component would refuse at the next start. It may be nil.
	Check func(context.Context, config.Config) error
	// Restart has the process start anew, after a trial that it was started in.
	Restart func()
}

// Follower keeps the process at what its configuration says.
type Follower struct {
	opts    Options
	trials  trials
	changed chan struct{}
	asked   chan func(context.Context)
	state   atomic.Pointer[State]

	// What follows belongs to Run, and to those whom it calls.
	running config.Config
	origins config.Origins
	failed  map[string]error // by applier
	checked *config.Config   // what the next start would take
	inTrial bool             // the process was started in one
	retry   time.Time        // when a revert that has failed is tried again
}

// Locate adds to what is wrong with components' arguments where they were given.
func Locate(err error, cfg config.Config, origins config.Origins) error {
	return args.Locate(err, func(p *args.Problem) string { return origins.Argument(cfg, p.Component, p.Argument) })
}

// New returns a follower that has looked at nothing yet.
func New(opts Options) *Follower {
	f := &Follower{
		opts: opts, trials: trials{opts.Source.File}, changed: make(chan struct{}, 1), asked: make(chan func(context.Context)),
		running: opts.Running, origins: opts.Source.Origins, failed: map[string]error{},
	}
	_, f.inTrial, _ = f.trials.read() // Run tells of what cannot be read
	f.state.Store(&State{File: opts.Source.File})
	return f
}

// State is what is known of the configuration. It is safe for concurrent use.
func (f *Follower) State() State { return *f.state.Load() }

// Tell is the line of kelp status.
func (f *Follower) Tell() string { return f.State().line(time.Now()) }

// Run follows the files until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	var lost error
	watching.Go(func() {
		lost = watch.Files(ctx, f.files, nil, f.wake)
		if lost != nil && ctx.Err() == nil {
			log.G(ctx).WithError(lost).WithField("next", lookEvery).Warn("changes of the configuration are noticed late")
		}
	})
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		over, cancel := f.trials.timer(time.Now(), f.retry)
		select {
		case <-ctx.Done():
			cancel()
			return nil
		case <-f.changed:
			f.look(ctx)
		case <-again.C:
			f.look(ctx)
		case do := <-f.asked:
			do(ctx)
		case <-over:
			f.revert(ctx)
		}
		cancel()
	}
}

// files are those to watch: also one in the directory of the drop-ins, so that
// the directory itself is watched.
func (f *Follower) files() []string {
	file := f.opts.Source.File
	return append([]string{file, config.DropIns(file) + "/any.yaml"}, f.opts.Also...)
}

func (f *Follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default: // it is looked at already
	}
}

// do has Run do something, and waits for it.
func (f *Follower) do(ctx context.Context, what func(context.Context)) error {
	done := make(chan struct{})
	select {
	case f.asked <- func(ctx context.Context) { defer close(done); what(ctx) }:
	case <-ctx.Done():
		return errors.New("kelp does not look after its configuration now: it starts, or it stops")
	}
	<-done
	return nil
}

// look takes what the sources say now.
func (f *Follower) look(ctx context.Context) {
	desired, origins, _, err := f.want(ctx, nil)
	if err != nil {
		f.refuse(ctx, err)
		return
	}
	f.take(ctx, desired, origins)
}

// want loads the configuration and says in what it differs from what runs. What
// can never change, and what the next start would refuse, is refused.
func (f *Follower) want(ctx context.Context, instead *config.Text) (config.Config, config.Origins, []config.Change, error) {
	desired, origins, err := f.opts.Source.Load(instead)
	if err != nil {
		return desired, origins, nil, err
	}
	changes := config.Diff(f.running, f.origins, desired, origins)
	var problems []error
	for _, c := range changes {
		if c.Takes == config.Never {
			problems = append(problems, fmt.Errorf("%s: %s is %q and can never change: it would be %q", c.Origin, c.Setting, c.Old, c.New))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, Locate(f.check(ctx, desired, changes), desired, origins))
	}
	return desired, origins, changes, errors.Join(problems...)
}

// check looks once at what the next start would look at.
func (f *Follower) check(ctx context.Context, desired config.Config, changes []config.Change) error {
	later := slices.ContainsFunc(changes, func(c config.Change) bool { return c.Takes == config.Restart })
	if !later || f.opts.Check == nil || f.checked != nil && reflect.DeepEqual(*f.checked, desired) {
		return nil
	}
	if err := f.opts.Check(ctx, desired); err != nil {
		return err
	}
	f.checked = &desired
	return nil
}

// refuse notes what is wrong, and says so once.
func (f *Follower) refuse(ctx context.Context, err error) {
	s := f.State()
	if s.Problem != err.Error() {
		log.G(ctx).WithError(err).WithField("path", s.File).Error("the configuration is not taken; what runs stays as it is")
	}
	s.Problem = err.Error()
	f.publish(s)
}

// take has the appliers take what is live, and notes the rest.
func (f *Follower) take(ctx context.Context, desired config.Config, origins config.Origins) {
	was := f.State()
	changes := config.Diff(f.running, f.origins, desired, origins)
	var now, later []config.Change
	for _, c := range changes {
		if c.Takes == config.Live {
			now = append(now, c)
		} else {
			later = append(later, c)
		}
	}
	f.running = f.running.Take(desired, config.Settings(now))
	f.origins = f.origins.Take(origins, config.Settings(now))
	f.apply(ctx, config.Settings(now))
	if len(now) > 0 {
		log.G(ctx).WithField("settings", strings.Join(config.Settings(now), ",")).Info("took new settings")
	}
	if names := config.Settings(later); !slices.Equal(names, config.Settings(was.NeedsRestart)) && len(names) > 0 {
		log.G(ctx).WithField("settings", strings.Join(names, ",")).Warn("settings have changed that need a restart")
	}
	if was.Problem != "" {
		log.G(ctx).WithField("path", was.File).Info("the configuration is valid again")
	}
	applied := was.Applied
	if len(now) > 0 {
		applied = now
	}
	f.publish(State{File: was.File, NeedsRestart: later, Applied: applied, Failed: f.failures(), Loaded: time.Now()})
}

// apply calls the appliers of these settings, and those that failed before.
func (f *Follower) apply(ctx context.Context, settings []string) {
	for _, a := range f.opts.Appliers {
		concerned := slices.ContainsFunc(a.Settings, func(s string) bool { return slices.Contains(settings, s) })
		if before := f.failed[a.Name]; !concerned && before == nil {
			continue
		}
		delete(f.failed, a.Name)
		if err := a.Apply(ctx, f.running); err != nil {
			f.failed[a.Name] = err
			log.G(ctx).WithError(err).WithField("part", a.Name).WithField("next", lookEvery).Error("new settings were not applied")
		}
	}
}

func (f *Follower) failures() map[string]string {
	texts := map[string]string{}
	for name, err := range f.failed {
		texts[name] = err.Error()
	}
	return texts
}

// publish adds what the trial's file says.
func (f *Follower) publish(s State) {
	s.Trial = nil
	if trial, there, err := f.trials.read(); err == nil && there {
		s.Trial = &trial.Until
	}
	f.state.Store(&s)
}
