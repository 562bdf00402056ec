package datastore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/datastore/migrate"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/internal/records"
)

// openLimit is how long either datastore may take to answer: a write-ahead log
// of a gigabyte is read in less.
const openLimit = 2 * time.Minute

// Move moves SQLite's data to a new etcd member. The rename of the member's
// directory is what makes it so: killed before, it begins anew, and killed after,
// it is done. SQLite's files are kept. A move that was asked for and fails
// leaves SQLite in use, and is no error.
func Move(ctx context.Context, cfg config.Config) error {
	return moveTo(ctx, cfg, cfg.Paths(), EtcdInputs(cfg, cfg.Paths()))
}

func moveTo(ctx context.Context, cfg config.Config, paths config.Paths, in etcd.Inputs) error {
	began := time.Now()
	log.G(ctx).WithField("path", paths.SQLiteFile).Info("moving the datastore from SQLite to etcd")
	keys, err := move(ctx, paths, in)
	if ctx.Err() != nil {
		return nil // told to stop: the next start begins anew
	}
	if err != nil && cfg.Datastore.Kind == config.DatastoreEtcd {
		return fmt.Errorf("move the datastore from SQLite to etcd: %w; nothing was changed", err)
	}
	if err != nil {
		log.G(ctx).WithError(err).Error("the datastore was not moved to etcd and stays in SQLite")
		return errors.Join(atomicfile.Write(failure(paths), []byte(err.Error()), 0o600), os.Remove(paths.MoveToEtcd))
	}
	log.G(ctx).WithField("keys", keys).WithField("took", time.Since(began).Round(time.Millisecond).String()).Info("moved the datastore to etcd")
	return nil
}

func move(ctx context.Context, paths config.Paths, in etcd.Inputs) (keys int, err error) {
	final, scratch := in.Dir, in.Dir+".scratch"
	in.Dir = final + ".new"
	for _, dir := range []string{in.Dir, scratch} {
		if err := os.RemoveAll(dir); err != nil {
			return 0, fmt.Errorf("remove what is left of an earlier move: %w", err)
		}
	}
	defer os.RemoveAll(scratch)

	original, err := newSQLite(paths).read(ctx)
	if err != nil {
		return 0, err
	}
	if err := migrate.Write(original.Revision, original.All(), migrate.Member{Name: in.Name, PeerURL: in.PeerURL(), Dir: in.Dir}, scratch); err != nil {
		return 0, fmt.Errorf("write etcd's data: %w", err)
	}
	copied, err := newEtcd(in, paths).read(ctx)
	if err != nil {
		return 0, err
	}
	if err := records.Compare(original, copied); err != nil {
		return 0, err
	}
	if err := os.Rename(in.Dir, final); err != nil {
		return 0, fmt.Errorf("put etcd's data in place: %w", err)
	}
	return len(original.Keys), atomicfile.SyncDir(filepath.Dir(final))
}

// read runs the datastore for as long as it takes to read all of it.
func (d *Datastore) read(ctx context.Context) (data records.Data, err error) {
	err = d.With(ctx, func(ctx context.Context, client *clientv3.Client) (err error) {
		data, err = records.Read(ctx, d.Source(client, false))
		return err
	})
	return data, err
}

// Source is the datastore to be read, gently while others use it.
func (d *Datastore) Source(client *clientv3.Client, gentle bool) records.Source {
	_, behindKine := d.backend.(*kine.Store)
	return records.Source{Client: client, Kine: behindKine, Gentle: gentle}
}

// With runs the datastore for as long as do needs its client.
func (d *Datastore) With(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var running errgroup.Group
	running.Go(func() error {
		defer stop() // nobody waits for a datastore that has ended by itself
		return d.Run(inner)
	})
	err := poll.Until(inner, openLimit, d.Ready)
	if err == nil {
		var client *clientv3.Client
		if client, err = d.endpoint.Client(); err == nil {
			err = errors.Join(do(inner, client), client.Close())
		}
	}
	stop()
	return errors.Join(err, running.Wait())
}

// KeepSQLite sets SQLite's files aside when etcd has their data: what is old
// must not be taken for the cluster's by a later start.
func KeepSQLite(cfg config.Config, now time.Time) error {
	paths := cfg.Paths()
	if Kind(cfg) != config.DatastoreEtcd || !exists(paths.SQLite) {
		return nil
	}
	kept := paths.SQLite + ".before-etcd-" + now.UTC().Format("20060102T150405Z")
	if err := os.Rename(paths.SQLite, kept); err != nil {
		return fmt.Errorf("keep SQLite's files: %w", err)
	}
	for _, file := range []string{paths.MoveToEtcd, failure(paths)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep SQLite's files: %w", err)
		}
	}
	return atomicfile.SyncDir(filepath.Dir(paths.SQLite))
}
