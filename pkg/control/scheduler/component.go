package scheduler

import (
	"context"
	"fmt"
	"net"
	"sync"

	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/configz"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/pki"
)

// configzName is the name that upstream's scheduler registers.
const configzName = "componentconfig"

// Scheduler is kube-scheduler in this process.
type Scheduler struct {
	cfg    config.Config
	paths  config.Paths
	merged func() (*args.Set, error) // once: Ready asks for it twenty times a second
}

// Inputs are what the scheduler needs beside the configuration.
type Inputs struct{ Paths config.Paths }

// New returns the scheduler; nothing is started before Run.
func New(cfg config.Config, in Inputs) *Scheduler {
	s := &Scheduler{cfg: cfg, paths: in.Paths}
	s.merged = sync.OnceValues(func() (*args.Set, error) {
		opts, all, set, err := s.options()
		if err != nil {
			return nil, err
		}
		if err := all.Parse(set); err != nil || opts.ConfigFile == "" {
			return set, err
		}
		_, err = readFile(opts.ConfigFile, set)
		return set, err
	})
	return s
}

// Merged returns the arguments with the user's merged over them, checked together
// with the file that they name.
func (s *Scheduler) Merged() (*args.Set, error) { return s.merged() }

func (s *Scheduler) options() (*options.Options, flags.Set, *args.Set, error) {
	opts := options.NewOptions()
	set := Args(s.cfg, s.paths)
	all := flags.Of("kube-scheduler", *opts.Flags)
	if err := all.Merge(set, flags.WithoutGates(s.cfg.Args.Scheduler)); err != nil {
		return nil, flags.Set{}, nil, err
	}
	return opts, all, set, nil
}

// Run schedules until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	opts, all, set, err := s.options()
	if err != nil {
		return err
	}
	if err := all.Parse(set); err != nil {
		return err
	}
	if err := flags.Verbosity(set); err != nil {
		return err
	}
	if opts.ConfigFile != "" {
		file, err := completeFile(opts.ConfigFile, s.paths, set)
		if err != nil {
			return err
		}
		opts.ConfigFile = file
	}
	opts.InformerName, err = cache.NewInformerName("kube-scheduler")
	if err != nil {
		return fmt.Errorf("name informers of kube-scheduler: %w", err)
	}
	defer opts.InformerName.Release()
	completed, scheduler, err := app.Setup(ctx, opts)
	if err != nil {
		return fmt.Errorf("set up kube-scheduler: %w", err)
	}
	defer configz.Delete(configzName)
	// Upstream returns an error in any case; when told to stop it is none.
	if err := app.Run(ctx, completed, scheduler); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run kube-scheduler: %w", err)
	}
	return nil
}

// Ready is nil when /readyz is, which it is when all caches have synced.
func (s *Scheduler) Ready(ctx context.Context) error {
	set, err := s.Merged()
	if err != nil {
		return err
	}
	host, _ := set.Get("bind-address")
	port, _ := set.Get("secure-port")
	return flags.Health{
		Address:    net.JoinHostPort(host, port),
		Path:       "/readyz",
		CAFile:     pki.FilesOf(s.paths, pki.SchedulerServing).CA,
		ServerName: "localhost",
	}.Check(ctx)
}
