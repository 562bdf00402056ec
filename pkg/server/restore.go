package server

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/preflight"
	"github.com/kelp-project/kelp/pkg/process"
	"github.com/kelp-project/kelp/pkg/snapshots"
)

// Restore makes the datastore of this server, which must not run, what a snapshot
// holds.
func Restore(ctx context.Context, cfg config.Config, file string) (snapshots.Restored, error) {
	lock, err := preflight.Acquire(cfg)
	if err != nil {
		return snapshots.Restored{}, err
	}
	defer lock.Release()
	if err := datastore.FinishSwap(cfg.Paths()); err != nil {
		return snapshots.Restored{}, err
	}
	return snapshots.Restore(ctx, cfg, file)
}

// Recovery is what a server does with its data before it starts.
type Recovery struct {
	Restore string // the snapshot to begin with
	Reset   bool   // whether this server is to be the only one of its cluster
}

func (r Recovery) recover(ctx context.Context, cfg config.Config) error {
	switch {
	case r.Restore != "" && r.Reset:
		return errors.New("--restore and --cluster-reset exclude each other: a restore makes this server the only one, too")
	case r.Restore != "":
		process.NotifyStatus("restoring a snapshot")
		return restoreOnce(ctx, cfg, r.Restore)
	case r.Reset:
		process.NotifyStatus("resetting the cluster to this server")
		return snapshots.Reset(ctx, cfg)
	}
	if err := snapshots.Settle(cfg.Paths()); err != nil {
		return err
	}
	return rejoin(ctx, cfg)
}

// restoreOnce is Restore for a flag that may stay where it is, as in a unit: the
// same snapshot is not restored a second time over what was written since.
func restoreOnce(ctx context.Context, cfg config.Config, file string) error {
	last, ok, err := snapshots.LastRestored(cfg.Paths())
	if err != nil {
		return err
	}
	ok = ok && !last.Settled
	if ok && strings.HasPrefix(file, "s3://") && path.Base(last.File) == path.Base(file) {
		return again(ctx, file, last)
	}
	if file, err = snapshots.Fetch(ctx, cfg, file, snapshots.NoAPI); err != nil {
		return err
	}
	if ok {
		s, err := snapshot.Open(file)
		if err != nil {
			return err
		}
		if s.SHA256 == last.SHA256 {
			return again(ctx, file, last)
		}
	}
	_, err = snapshots.Restore(ctx, cfg, file)
	return err
}

func again(ctx context.Context, file string, last snapshots.Restored) error {
	log.G(ctx).WithField("path", file).WithField("at", last.At).Warn("the snapshot was restored by an earlier start, and is not restored again: leave --restore out")
	return nil
}
