package controllermanager

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"k8s.io/component-base/configz"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/pki"
)

// ControllerManager is kube-controller-manager in this process.
type ControllerManager struct {
	cfg    config.Config
	paths  config.Paths
	merged func() (*args.Set, error) // once: Ready asks for it twenty times a second
}

// Inputs are what the controller manager needs beside the configuration.
type Inputs struct{ Paths config.Paths }

// New returns the controller manager; nothing is started before Run.
func New(cfg config.Config, in Inputs) *ControllerManager {
	c := &ControllerManager{cfg: cfg, paths: in.Paths}
	c.merged = sync.OnceValues(func() (*args.Set, error) {
		_, all, set, err := c.options()
		if err != nil {
			return nil, err
		}
		return set, all.Parse(set)
	})
	return c
}

// Merged returns the arguments with the user's merged over them.
func (c *ControllerManager) Merged() (*args.Set, error) { return c.merged() }

func (c *ControllerManager) options() (*options.KubeControllerManagerOptions, flags.Set, *args.Set, error) {
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, flags.Set{}, nil, fmt.Errorf("make options of kube-controller-manager: %w", err)
	}
	set := Args(c.cfg, c.paths)
	all := flags.Of("kube-controller-manager", opts.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()))
	if err := all.Merge(set, flags.WithoutGates(c.cfg.Args.ControllerManager)); err != nil {
		return nil, flags.Set{}, nil, err
	}
	return opts, all, set, nil
}

// Run runs the controllers until ctx ends.
func (c *ControllerManager) Run(ctx context.Context) error {
	opts, all, set, err := c.options()
	if err != nil {
		return err
	}
	if err := all.Parse(set); err != nil {
		return err
	}
	if err := flags.Verbosity(set); err != nil {
		return err
	}
	// Upstream's events go on until the controllers have stopped, so they
	// are not bound to ctx; Run ends them.
	cfg, err := opts.Config(context.WithoutCancel(ctx), app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return fmt.Errorf("arguments of kube-controller-manager: %w", err)
	}
	defer configz.Delete(app.ConfigzName)
	if err := app.Run(ctx, cfg.Complete()); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run kube-controller-manager: %w", err)
	}
	return nil
}

// Ready is nil when /healthz is, which it is when controllers have started.
func (c *ControllerManager) Ready(ctx context.Context) error {
	set, err := c.Merged()
	if err != nil {
		return err
	}
	host, _ := set.Get("bind-address")
	port, _ := set.Get("secure-port")
	if _, err := strconv.Atoi(port); err != nil {
		return fmt.Errorf("port of kube-controller-manager: %w", err)
	}
	return flags.Health{
		Address:    net.JoinHostPort(host, port),
		Path:       "/healthz",
		CAFile:     pki.FilesOf(c.paths, pki.ControllerManagerServing).CA,
		ServerName: "localhost",
	}.Check(ctx)
}
