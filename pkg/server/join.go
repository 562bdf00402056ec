package server

import (
	"context"
	"sync"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/process"
)

// Join makes this machine one of the servers of the cluster that the
// configuration names, if it is none yet. The configuration is as it was loaded:
// what the cluster shares is remembered on disk, and part of what is loaded from
// then on. Done is false when the wait for a server was ended by a stop.
func Join(ctx context.Context, loaded config.Config, origins config.Origins) (done bool, err error) {
	if loaded.Server == "" || join.Joined(loaded) {
		return true, nil
	}
	if err := checkRemoved(loaded); err != nil {
		return false, err
	}
	// What a server needs is looked at when it starts; until then this machine
	// is like an agent that joins.
	if _, err := preflight.Run(loaded, preflight.Agent); err != nil {
		return false, err
	}
	member, err := join.NewMember(loaded)
	if err != nil {
		return false, err
	}
	lock, err := preflight.Acquire(loaded)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	log.G(ctx).WithField("server", loaded.Server).Info("joining the servers of a cluster")
	var unpacking sync.WaitGroup
	err = member.Peer(ctx, func(cluster join.Cluster) (config.Config, error) {
		cfg, err := cluster.Settle(loaded, origins)
		if err == nil && !cfg.Components.DisableAgent {
			// The token is good. That the other server moves its data takes seconds.
			unpacking.Go(func() { unpackAhead(ctx, cfg.Paths()) })
		}
		return cfg, err
	})
	if err != nil { // or the start goes on with it
		unpacking.Wait()
	}
	if ctx.Err() != nil {
		return false, process.Cause(ctx)
	}
	return err == nil, err
}

// unpackAhead does what the start would do; whoever is later finds it done, or waits.
func unpackAhead(ctx context.Context, paths config.Paths) {
	if err := nodepart.Unpack(ctx, paths); err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Warn("the helper programs were not unpacked ahead of the start")
	}
}
