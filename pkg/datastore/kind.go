package datastore

import (
	"fmt"
	"os"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// Kind is the datastore that a server has: the one that its configuration
// names, and for auto SQLite until it has been moved to etcd or has joined other
// servers, which its disk tells.
func Kind(cfg config.Config) config.DatastoreKind {
	paths := cfg.Paths()
	switch cfg.Datastore.Kind {
	case config.DatastoreSQLite, config.DatastoreEtcd, config.DatastoreExternal:
		return cfg.Datastore.Kind
	}
	if exists(paths.Etcd) {
		return config.DatastoreEtcd
	}
	return config.DatastoreSQLite
}

// Present says whether this machine has data.
func Present(cfg config.Config) bool {
	paths := cfg.Paths()
	return etcd.Exists(paths.Etcd) || exists(paths.SQLiteFile)
}

// Check refuses a configuration whose datastore is not where the data is.
func Check(cfg config.Config) error {
	paths, kind := cfg.Paths(), cfg.Datastore.Kind
	switch {
	case kind == config.DatastoreSQLite && etcd.Exists(paths.Etcd):
		return fmt.Errorf("datastore.kind is sqlite, and this server's data is in etcd, in %s: set auto or etcd", paths.Etcd)
	case kind == config.DatastoreExternal && etcd.Exists(paths.Etcd):
		return fmt.Errorf("datastore.endpoint is set, and this server's data is in etcd, in %s: kelp does not move it out of there", paths.Etcd)
	case kind == config.DatastoreExternal && exists(paths.SQLiteFile):
		return fmt.Errorf("datastore.endpoint is set, and this server's data is in SQLite, in %s: kelp does not move it out of there", paths.SQLiteFile)
	case kind != config.DatastoreExternal && exists(paths.ExternalFile):
		return fmt.Errorf("this server's data is in an external datastore, as %s says: set datastore.endpoint", paths.ExternalFile)
	}
	return nil
}

// Moving says whether the data has to be moved to etcd before the server
// starts: the configuration names etcd and the data is in SQLite still, or the
// move was asked for.
func Moving(cfg config.Config) bool {
	paths := cfg.Paths()
	if etcd.Exists(paths.Etcd) || !exists(paths.SQLiteFile) {
		return false
	}
	return cfg.Datastore.Kind == config.DatastoreEtcd || exists(paths.MoveToEtcd)
}

// pause is how long a server does not try again after a move that failed:
// each try costs a restart.
const pause = 10 * time.Minute

// AskToMove notes that the server's next start is to move its data to etcd.
// It refuses where the configuration wants SQLite, and for a while after a move
// that has failed, with the reason.
func AskToMove(cfg config.Config, now time.Time) error {
	paths := cfg.Paths()
	if Kind(cfg) == config.DatastoreExternal {
		return nil // there is nothing to move
	}
	if cfg.Datastore.Kind == config.DatastoreSQLite {
		return fmt.Errorf("its datastore is SQLite, by its configuration: no other server can join until datastore.kind is auto or etcd")
	}
	failed := failure(paths)
	if info, err := os.Stat(failed); err == nil && now.Sub(info.ModTime()) < pause {
		reason, _ := os.ReadFile(failed) // without it there is no reason to tell
		return fmt.Errorf("its move to etcd has failed and is tried again after %s: %s", info.ModTime().Add(pause).Format(time.TimeOnly), reason)
	}
	return atomicfile.Write(paths.MoveToEtcd, []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600)
}

// failure is the file with the reason of a move that failed.
func failure(paths config.Paths) string { return paths.MoveToEtcd + ".failed" }

func exists(path string) bool {
	if path == "" {
		return false // and not the directory that the process is in
	}
	_, err := os.Stat(path)
	return err == nil
}
