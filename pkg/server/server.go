package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/doctor"
	"github.com/kelp-project/kelp/pkg/live"
	"github.com/kelp-project/kelp/pkg/metrics"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/nodepart"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/snapshots"
	"github.com/kelp-project/kelp/pkg/supervisor"
	"github.com/kelp-project/kelp/pkg/trial"
	"github.com/kelp-project/kelp/pkg/upgrade"
	"github.com/kelp-project/kelp/pkg/version"
)

const (
	// startMemory is what a server has taken from the system, in bytes, when its
	// garbage is collected first. With 224 MB it held 5 MB more in the end.
	startMemory = 168 << 20
	// lastingMemory is a little less than what of its heap lives in the end, in bytes.
	lastingMemory = 112 << 20
)

// Run runs a server until ctx ends or a component fails for good. The source is
// where the configuration came from.
// The guard is nil unless this version is on trial.
func Run(ctx context.Context, cfg config.Config, source live.Source, r Recovery, guard *trial.Guard) error {
	again, err := run(ctx, cfg, source, r, guard)
	if err == nil && again {
		return process.Reexec()
	}
	return err
}

// run is Run, but says whether the process is to start anew.
func run(ctx context.Context, cfg config.Config, source live.Source, r Recovery, guard *trial.Guard) (again bool, err error) {
	heart := process.StartHeartbeat()
	defer heart.Stop()
	part, report, err := prepare(ctx, cfg, source.Origins)
	if err != nil {
		return false, err
	}
	lock, err := preflight.Acquire(cfg)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	process.Hurry(startMemory, lastingMemory, cfg.Debug)
	log.G(ctx).WithField("version", version.Version).WithField("node", cfg.Node.Name).WithField("path", cfg.DataDir).Info("kelp starts")
	report.Log(ctx)
	told := &systemd{started: func() {
		if !guard.Ready(ctx) {
			return // the version before runs next, and refuses data of a newer one
		}
		if err := preflight.WriteVersion(cfg); err != nil {
			log.G(ctx).WithError(err).Error("a later start cannot tell which version wrote the data")
		}
	}}
	if err := errors.Join(datastore.FinishSwap(cfg.Paths()), r.recover(ctx, cfg)); err != nil || ctx.Err() != nil {
		return false, errors.Join(err, process.Cause(ctx))
	}
	awaited, err := settleDatastore(ctx, cfg)
	if err != nil || ctx.Err() != nil {
		return false, errors.Join(err, process.Cause(ctx))
	}
	inner, restart := process.NewRestart(ctx)
	wall, more := newClock(), &beside{source: source, awaited: awaited}
	components, err := Components(cfg, part, wall, restart.Ask, more)
	if err != nil {
		return false, err
	}
	s, err := supervisor.New(components, supervisor.Options{Changed: told.changed})
	if err != nil {
		return false, err
	}
	heart.Follow(s.Alive)
	guard.Follow(func() string { return s.Snapshot().Pending() })
	status := doctor.NewServer(cfg, pki.ServerURL(cfg), s.Snapshot)
	more.follower.Register(status.Handle)
	status.Handle(upgrade.RestartPath, upgrade.RestartHandler(restart.Ask))
	if more.sources.Starts, err = metrics.CountStart(cfg.Paths().Starts); err != nil {
		log.G(ctx).WithError(err).Warn("the metrics begin with this start")
	}
	status.Handle("/", more.sight.open(s.Snapshot, more.sources))
	if err := status.Listen(ctx); err != nil {
		return false, err
	}
	defer status.Close()
	err = s.Run(inner)
	if (err != nil || process.Cause(ctx) != nil) && wall.wentBack(ctx) {
		restart.Ask()
	}
	return restart.Again(ctx, err)
}

// settleDatastore moves the data to etcd where that is due, and sets aside what
// a move has left. With an external datastore it sees to the cluster's keys. Another
// server is awaited when the data was moved for it.
func settleDatastore(ctx context.Context, cfg config.Config) (awaited bool, err error) {
	if datastore.Kind(cfg) == config.DatastoreExternal {
		return false, settleExternal(ctx, cfg)
	}
	if datastore.Moving(cfg) {
		// Its certificates are the ones that etcd's member needs.
		if err := pki.New(cfg).Ensure(ctx); err != nil {
			return false, err
		}
		process.NotifyStatus("moving the datastore from SQLite to etcd")
		if cfg.Datastore.Kind == config.DatastoreEtcd { // nobody has asked the running server for it
			if _, err := snapshots.SaveOffline(ctx, cfg, snapshots.BeforeMove); err != nil {
				log.G(ctx).WithError(err).Warn("no snapshot was made before the move; SQLite's files are kept all the same")
			}
		} else {
			awaited = true
		}
		if err := datastore.Move(ctx, cfg); err != nil || ctx.Err() != nil {
			return false, err
		}
	}
	return awaited, datastore.KeepSQLite(cfg, time.Now())
}

// prepare does all that can be refused, before anything is changed.
func prepare(ctx context.Context, cfg config.Config, origins config.Origins) (*node.Node, preflight.Report, error) {
	if err := errors.Join(checkRemoved(cfg), datastore.Check(cfg)); err != nil {
		return nil, preflight.Report{}, err
	}
	report, err := preflight.Run(cfg, preflight.Server)
	if err != nil {
		return nil, report, err
	}
	var part *node.Node
	if !cfg.Components.DisableAgent {
		if part, err = node.New(ctx, cfg); err != nil {
			return nil, report, err
		}
	}
	return part, report, live.Locate(checkArguments(cfg, part), cfg, origins)
}

// systemd is told how the start goes, and that it is over when the node is
// ready: packaged components may need some seconds more, and whoever orders
// a unit after kelp means the node.
type systemd struct {
	started func() // called once, when the node is ready
	ready   bool
	line    string
}

// changed is called by the supervisor, one call at a time.
func (t *systemd) changed(snap supervisor.Snapshot) {
	if !t.ready && nodeReady(snap) {
		t.ready = true
		t.started()
		process.NotifyReady()
	}
	line := "ready"
	if pending := snap.Pending(); pending != "" {
		line = "waiting for " + pending
	}
	if line != t.line {
		t.line = line
		process.NotifyStatus(fmt.Sprintf("%s (%s)", line, time.Since(snap.Started).Round(100*time.Millisecond)))
	}
}

// neededForReady are the components without which no pod can be created and
// run.
var neededForReady = []string{api, nodepart.Kubelet, roleName, accountName}

// nodeReady says whether API server and node, where there is one, are ready
// and take pods.
func nodeReady(snap supervisor.Snapshot) bool {
	for _, c := range snap.Components {
		if slices.Contains(neededForReady, c.Name) && c.State != supervisor.Ready && c.State != supervisor.Skipping {
			return false
		}
	}
	return true
}
