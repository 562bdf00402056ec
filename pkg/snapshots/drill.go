package snapshots

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
)

// Drill reads a snapshot from end to end, restores it into a scratch directory
// beside the data, starts a datastore of this server's kind on that, and compares
// what it answers.
func Drill(ctx context.Context, cfg config.Config, file string) (Entry, error) {
	s, err := snapshot.Open(file)
	if err != nil {
		return Entry{}, err
	}
	if err := versions(s); err != nil {
		return Entry{}, err
	}
	if err := cleanDrills(cfg); err != nil {
		return Entry{}, err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(cfg.Paths().Etcd), drills)
	if err != nil {
		return Entry{}, fmt.Errorf("make a directory for the drill: %w", err)
	}
	kind := datastore.Kind(cfg)
	if kind == config.DatastoreExternal {
		kind = config.DatastoreSQLite
	}
	err = datastore.Drill(ctx, cfg, kind, datastore.Content{Revision: s.Revision, Keys: s.Keys()}, scratch)
	if err := errors.Join(err, os.RemoveAll(scratch)); err != nil {
		return Entry{}, fmt.Errorf("snapshot %s could not be restored in a drill: %w", file, err)
	}
	return Verify(file, time.Now())
}

// drills is what the names of scratch directories begin with.
const drills = "drill-"

// cleanDrills removes the directories of drills that were killed.
func cleanDrills(cfg config.Config) error {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.Paths().Etcd), drills+"*"))
	if err != nil {
		return fmt.Errorf("look for what is left of drills: %w", err)
	}
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > abandoned {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("remove what is left of a drill: %w", err)
			}
		}
	}
	return nil
}
