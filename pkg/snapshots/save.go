package snapshots

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/snapshot"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/version"
)

// The reasons of snapshots that kelp makes by itself.
const (
	Scheduled     = "schedule"
	OnDemand      = "on-demand"
	BeforeRestore = "before-restore"
	BeforeReset   = "before-reset"
	BeforeMove    = "before-move"
	BeforeUpgrade = "before-upgrade"
)

// Request is what a snapshot is to be like.
type Request struct {
	Name   string // what its name begins with
	Reason string
	Pinned bool // retention leaves it
	Dir    Dir
	// Alone says that nobody uses the datastore, or will for some seconds, so
	// that no time is left to others.
	Alone bool
}

// Save makes a snapshot of the running datastore. It exists, under its name, when
// it is on the disk and was read back.
func Save(ctx context.Context, cfg config.Config, r Request) (Entry, error) {
	if r.Reason != Scheduled && r.Name == cfg.Snapshots.Name {
		// In the object store names are all that retention has to go by.
		return Entry{}, fmt.Errorf("scheduled snapshots are called %q, and old ones are deleted: choose another name", r.Name)
	}
	ds := datastore.New(cfg)
	client, err := ds.Client()
	if err != nil {
		return Entry{}, err
	}
	defer client.Close()
	return save(ctx, cfg, ds, client, r)
}

func save(ctx context.Context, cfg config.Config, ds *datastore.Datastore, client *clientv3.Client, r Request) (Entry, error) {
	now := time.Now()
	if err := errors.Join(r.Dir.Make(), r.Dir.clean(now)); err != nil {
		return Entry{}, err
	}
	sealed, authority, err := join.Seal(cfg)
	if err != nil {
		return Entry{}, err
	}
	m := snapshot.Metadata{
		Authority: authority, Kelp: version.Version, Kubernetes: version.KubernetesVersion, Datastore: ds.Name(), Node: cfg.Node.Name,
		Reason: r.Reason, Pinned: r.Pinned, Created: now.UTC().Truncate(time.Second), Settings: cfg.ClusterWide(),
	}
	if m.Cluster, err = clusterOf(ctx, client); err != nil {
		return Entry{}, err
	}
	name := fmt.Sprintf("%s-%s-%s%s", r.Name, m.Node, strings.ToLower(now.UTC().Format("20060102T150405Z")), extension)
	if cfg.Snapshots.Compress {
		name += strings.TrimPrefix(compressed, extension)
	}
	path := r.Dir.Path(name)
	if _, err := os.Stat(path); err == nil {
		return Entry{}, fmt.Errorf("a snapshot %s was made in this very second", name)
	}
	defer os.Remove(path + partial)
	if err := write(path+partial, func(f *os.File) error {
		_, err := snapshot.Write(ctx, &steady{file: f}, cfg.Snapshots.Compress, m, sealed, ds.Source(client, !r.Alone))
		return err
	}); err != nil {
		return Entry{}, fmt.Errorf("write snapshot: %w", err)
	}
	read, err := snapshot.OpenWithin(ctx, path+partial, !r.Alone)
	if err != nil {
		return Entry{}, fmt.Errorf("read the snapshot back: %w", err)
	}
	e, err := proven(read, path+partial, time.Now())
	if err != nil {
		return Entry{}, err
	}
	if err := os.Rename(path+partial, path); err != nil {
		return Entry{}, fmt.Errorf("give the snapshot its name: %w", err)
	}
	return e, atomicfile.SyncDir(filepath.Dir(path))
}

// steadyBytes is what a steady file has the kernel begin to write at a time.
const steadyBytes = 1 << 20

// steady has the kernel write a file to the disk while it grows, so that the
// datastore's own writes do not wait behind all of it at the end.
type steady struct {
	file            *os.File
	written, handed int64
}

// Write is io.Writer's.
func (s *steady) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.written += int64(n)
	if pending := s.written - s.handed; err == nil && pending >= steadyBytes {
		// Where it cannot be done, as on some network's file system, the sync at the
		// end writes all.
		_ = unix.SyncFileRange(int(s.file.Fd()), s.handed, pending, unix.SYNC_FILE_RANGE_WRITE)
		s.handed = s.written
	}
	return n, err
}

// write makes a file and has it on the disk.
func write(path string, fill func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// clusterOf is the UID of the namespace kube-system, by which many tools name a
// cluster. It is read from the datastore, for the API may not run.
func clusterOf(ctx context.Context, client *clientv3.Client) (string, error) {
	res, err := client.Get(ctx, "/registry/namespaces/kube-system")
	if err != nil {
		return "", fmt.Errorf("read the cluster's id: %w", err)
	}
	if len(res.Kvs) == 0 {
		return "", errors.New("the datastore holds no cluster yet: it has no namespace kube-system")
	}
	o, _, err := scheme.Codecs.UniversalDeserializer().Decode(res.Kvs[0].Value, nil, nil)
	if err != nil {
		return "", fmt.Errorf("read the cluster's id: %w", err)
	}
	namespace, ok := o.(*corev1.Namespace)
	if !ok {
		return "", fmt.Errorf("read the cluster's id: kube-system is a %T", o)
	}
	return string(namespace.UID), nil
}
