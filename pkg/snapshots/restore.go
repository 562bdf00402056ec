package snapshots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/token"
	"github.com/kelp-project/kelp/pkg/version"
)

// Restored is what is noted of the last restore.
type Restored struct {
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"`   // of the snapshot's content
	Revision int64     `json:"revision"` // that the datastore began at
	At       time.Time `json:"at"`
	Kept     []string  `json:"kept"` // what was there before
	// Settled is set by a start that was not told to restore: from then on the
	// same snapshot may be restored again.
	Settled bool `json:"settled,omitempty"`
}

// Settle notes that a server started without being told to restore, or to reset
// the cluster. What it is told later is meant anew, and no flag that stayed.
func Settle(paths config.Paths) error {
	if err := os.Remove(paths.Reset); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the last reset: %w", err)
	}
	r, ok, err := LastRestored(paths)
	if err != nil || !ok || r.Settled {
		return err
	}
	r.Settled = true
	return r.write(paths)
}

func (r Restored) write(paths config.Paths) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("note the restore: %w", err)
	}
	return atomicfile.Write(paths.Restored, append(text, '\n'), 0o600)
}

// LastRestored returns the last restore; ok is false when there was none.
func LastRestored(paths config.Paths) (r Restored, ok bool, err error) {
	text, err := os.ReadFile(paths.Restored)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read the note of the last restore: %w", err)
	}
	return r, true, nil
}

// Restore makes the datastore what a snapshot holds. kelp must not run. All that
// can be refused is before anything is changed; the datastore is built beside the
// live one and read back, and takes its place by rename; what was live is kept.
// The configuration's token opens the cluster's keys on a machine that has none.
func Restore(ctx context.Context, cfg config.Config, file string) (Restored, error) {
	s, err := snapshot.Open(file)
	if err != nil {
		return Restored{}, err
	}
	keys, err := check(cfg, s)
	if err != nil {
		return Restored{}, err
	}
	log.G(ctx).WithField("path", file).WithField("revision", s.Revision).WithField("keys", s.Summary.Keys).Info("restoring a snapshot")
	last, _, err := LastRestored(cfg.Paths())
	if err != nil {
		return Restored{}, err
	}
	if keys != nil {
		if err := keys.Install(cfg.Paths()); err != nil {
			return Restored{}, errors.Join(err, join.Uninstall(cfg.Paths()))
		}
	}
	r, err := restore(ctx, cfg, s, max(s.Revision, last.Revision))
	if err != nil && keys != nil {
		err = errors.Join(err, join.Uninstall(cfg.Paths()))
	}
	return r, err
}

func restore(ctx context.Context, cfg config.Config, s *snapshot.Snapshot, revision int64) (Restored, error) {
	if err := pki.New(cfg).Ensure(ctx); err != nil { // an etcd member needs its certificates
		return Restored{}, err
	}
	live, err := SaveOffline(ctx, cfg, BeforeRestore)
	switch {
	case ctx.Err() != nil:
		return Restored{}, ctx.Err()
	case err != nil:
		log.G(ctx).WithError(err).Warn("what is there now could not be snapshot; its files are kept all the same")
	}
	kind := target(cfg)
	at, err := datastore.Build(ctx, cfg, kind, datastore.Content{Revision: max(revision, live.Revision), Keys: s.Keys()})
	if err != nil {
		return Restored{}, fmt.Errorf("%w; nothing was changed", err)
	}
	now := time.Now()
	r := Restored{File: s.File, SHA256: s.SHA256, Revision: at, At: now.UTC().Truncate(time.Second)}
	if r.Kept, err = datastore.Swap(cfg, kind, "restore", now); err != nil {
		return Restored{}, err
	}
	log.G(ctx).WithField("kept", strings.Join(r.Kept, " ")).WithField("datastore", kind).Info("restored the snapshot")
	return r, r.write(cfg.Paths())
}

// target is the kind of datastore to restore into: what the configuration names
// or the disk has.
func target(cfg config.Config) config.DatastoreKind { return datastore.Kind(cfg) }

// SaveOffline makes a pinned snapshot of what is on the disk of a server that does
// not run, if there is something.
func SaveOffline(ctx context.Context, cfg config.Config, reason string) (e Entry, err error) {
	if !datastore.Present(cfg) {
		return Entry{}, nil
	}
	err = datastore.Offline(ctx, cfg, func(ctx context.Context, ds *datastore.Datastore, client *clientv3.Client) error {
		e, err = save(ctx, cfg, ds, client, Request{Name: reason, Reason: reason, Pinned: true, Dir: Dir(cfg.SnapshotDir()), Alone: true})
		return err
	})
	return e, err
}

// check refuses a snapshot that does not belong on this machine, and returns the
// keys that the machine lacks.
func check(cfg config.Config, s *snapshot.Snapshot) (join.Keys, error) {
	if datastore.Kind(cfg) == config.DatastoreExternal {
		return nil, errors.New("the datastore is external: restore it with its own tools, or leave datastore.endpoint out to restore the snapshot into kelp's own")
	}
	if err := errors.Join(versions(s), settings(cfg, s)); err != nil {
		return nil, err
	}
	has, err := join.HasKeys(cfg.Paths())
	if err != nil {
		return nil, err
	}
	if has {
		_, authority, err := join.Seal(cfg)
		if err != nil {
			return nil, err
		}
		if authority != s.Authority {
			return nil, fmt.Errorf("snapshot %s is another cluster's: its authority has hash %.12s…, this server's %.12s…; to restore it on this machine, move %s away first", s.File, s.Authority, authority, cfg.DataDir)
		}
		return nil, nil
	}
	t, given, err := token.Configured(cfg)
	switch {
	case err != nil:
		return nil, err
	case !given:
		return nil, fmt.Errorf("this machine has none of the cluster's keys, and those in snapshot %s are sealed: give the cluster's server token, as it was then, with --token-file", s.File)
	case t.Hash != "" && t.Hash != s.Authority:
		return nil, fmt.Errorf("snapshot %s is another cluster's than the token: its authority has hash %.12s…, the token's %.12s…", s.File, s.Authority, t.Hash)
	}
	keys, err := join.Unseal(s.Sealed, t.Secret)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w: give the server token that the cluster had when it was made", s.File, err)
	}
	return keys, nil
}

// versions refuses what a newer Kubernetes has written: objects may be of
// versions that this one does not know.
func versions(s *snapshot.Snapshot) error {
	mine, err := utilversion.ParseGeneric(version.KubernetesVersion)
	if err != nil {
		return fmt.Errorf("read version %s: %w", version.KubernetesVersion, err)
	}
	its, err := utilversion.ParseGeneric(s.Kubernetes)
	if err != nil {
		return fmt.Errorf("snapshot %s: read version %q: %w", s.File, s.Kubernetes, err)
	}
	if its.Major() > mine.Major() || its.Minor() > mine.Minor() {
		return fmt.Errorf("snapshot %s is of Kubernetes %s, which is newer than this kelp's %s: restore it with kelp %s", s.File, s.Kubernetes, version.KubernetesVersion, s.Kelp)
	}
	return nil
}

// settings refuses a configuration under which the cluster's objects would be
// wrong: addresses in them are of its ranges.
func settings(cfg config.Config, s *snapshot.Snapshot) error {
	var problems []error
	mine := cfg.ClusterWide()
	for _, f := range config.Fields() {
		its, said := s.Settings[f.Path]
		if !said || f.Scope != "cluster" || f.Change != "never" || strings.HasPrefix(f.Path, "datastore.") || slices.Equal(its, mine[f.Path]) {
			continue
		}
		problems = append(problems, fmt.Errorf("snapshot %s is of a cluster with %s %s, and this machine's is %s: set it to the cluster's", s.File, f.Path, strings.Join(its, ","), strings.Join(mine[f.Path], ",")))
	}
	return errors.Join(problems...)
}
