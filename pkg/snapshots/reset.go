package snapshots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// Reset makes this server, which must not run, the only member of etcd, with all
// that it holds. The data of the others, which lack a majority, is superseded:
// they join anew by themselves. What was here is kept, and in a snapshot.
func Reset(ctx context.Context, cfg config.Config) error {
	if datastore.Kind(cfg) != config.DatastoreEtcd || !datastore.Present(cfg) {
		return errors.New("there is no etcd member on this server that a cluster could be reset to")
	}
	if done, err := wasReset(cfg.Paths()); err != nil || !done.IsZero() {
		if err == nil {
			log.G(ctx).WithField("at", done).Warn("the cluster was reset to this server by an earlier start, and is not reset again: leave --cluster-reset out. To reset it another time, start without it once")
		}
		return err
	}
	saved, err := SaveOffline(ctx, cfg, BeforeReset)
	if err != nil {
		return fmt.Errorf("read what this server holds: %w; nothing was changed", err)
	}
	if err := compare(ctx, cfg, saved.Revision); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	s, err := snapshot.Open(saved.Location)
	if err != nil {
		return err
	}
	if _, err := datastore.Build(ctx, cfg, config.DatastoreEtcd, datastore.Content{Revision: s.Revision, Keys: s.Keys()}); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	now := time.Now()
	kept, err := datastore.Swap(cfg, config.DatastoreEtcd, "reset", now)
	if err != nil {
		return err
	}
	log.G(ctx).WithField("revision", s.Revision).WithField("kept", strings.Join(kept, " ")).Info("the cluster was reset to this server; the others join anew when they run")
	text, err := json.Marshal(now.UTC().Truncate(time.Second))
	if err != nil {
		return fmt.Errorf("note the reset: %w", err)
	}
	return atomicfile.Write(cfg.Paths().Reset, append(text, '\n'), 0o600)
}

// wasReset is when a reset was made, zero if none was.
func wasReset(paths config.Paths) (at time.Time, err error) {
	text, err := os.ReadFile(paths.Reset)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		return at, fmt.Errorf("read the note of the last reset: %w", err)
	}
	return at, nil
}

// compare shows what the other servers hold, those that can be reached, and
// refuses when one has a leader, or more than this one.
func compare(ctx context.Context, cfg config.Config, own int64) error {
	log.G(ctx).WithField("node", cfg.Node.Name).WithField("revision", own).Info("what this server holds")
	members, err := datastore.MembersOnDisk(cfg)
	if err != nil {
		return err
	}
	ds := datastore.New(cfg)
	for name, url := range members {
		if name == cfg.Node.Name || url == "" {
			continue
		}
		status, err := ds.Settled(ctx, url)
		entry := log.G(ctx).WithField("node", name).WithField("address", url)
		switch {
		case errors.Is(err, datastore.ErrLeader):
			return fmt.Errorf("server %s at %s: %w, so nothing is lost: there is nothing to reset. To begin anew with this server all the same, stop kelp on the others first", name, url, err)
		case err != nil:
			entry.WithError(err).Info("another server cannot be reached")
		case status.Header.Revision > own:
			return fmt.Errorf("server %s at %s has newer data, of revision %d, and this one of %d: reset the cluster on that one, or stop kelp there to give its data up", name, url, status.Header.Revision, own)
		default:
			entry.WithField("revision", status.Header.Revision).Info("what another server holds")
		}
	}
	return nil
}
