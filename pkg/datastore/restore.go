package datastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/datastore/migrate"
	"github.com/kelp-project/kelp/pkg/epoch"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/records"
	"github.com/kelp-project/kelp/pkg/pki"
)

// beyond is how many revisions after the newest known one a restored datastore
// begins: more than were written since, however old a snapshot is, as etcd's
// documentation of a restore suggests.
const beyond = 1_000_000_000

// Content is what a datastore is made of.
type Content struct {
	Revision int64 // none of the keys' exceeds it
	Keys     records.Keys
}

// Build writes a datastore of the kind beside where the live one is, starts it,
// and compares what it answers with what was written. Nothing that is live is
// touched: Swap does that. The live one must not run. It returns the revision that
// the datastore is at.
func Build(ctx context.Context, cfg config.Config, kind config.DatastoreKind, c Content) (revision int64, err error) {
	b := builder{kind: kind, paths: cfg.Paths()}
	b.paths.SQLite, b.paths.Etcd = built(b.paths.SQLite), built(b.paths.Etcd)
	b.paths.SQLiteFile = filepath.Join(b.paths.SQLite, filepath.Base(b.paths.SQLiteFile))
	b.paths.ClusterFile = "" // it is the first of its cluster
	b.member = EtcdInputs(cfg, b.paths)
	return c.Revision + beyond, b.build(ctx, c)
}

// built is where a datastore is until it is swapped in.
func built(dir string) string { return dir + ".new" }

// Drill builds a datastore in a scratch directory, beside whatever runs, and
// removes it.
func Drill(ctx context.Context, cfg config.Config, kind config.DatastoreKind, c Content, scratch string) error {
	b, err := aside(ctx, cfg, kind, scratch)
	if err != nil {
		return err
	}
	return errors.Join(b.build(ctx, c), os.RemoveAll(b.paths.SQLite), os.RemoveAll(b.paths.Etcd))
}

// aside is a datastore below a scratch directory, on ports that nobody has.
func aside(ctx context.Context, cfg config.Config, kind config.DatastoreKind, scratch string) (builder, error) {
	b := builder{kind: kind, paths: cfg.Paths()}
	b.paths.SQLite, b.paths.Etcd = filepath.Join(scratch, "sqlite"), filepath.Join(scratch, "etcd")
	b.paths.SQLiteFile = filepath.Join(b.paths.SQLite, "state.db")
	b.paths.ClusterFile, b.paths.RunDir = "", scratch
	b.paths.KineSocket = filepath.Join(scratch, "kine.sock")
	b.member = EtcdInputs(cfg, b.paths)
	b.member.Address, b.member.User = netip.Addr{}, nil
	for _, port := range []*uint16{&b.member.ClientPort, &b.member.PeerPort} {
		var err error
		if *port, err = freePort(ctx); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Offline has do read what is on this machine's disk, of a server that does not
// run. It reads a copy of etcd's data, which needs no other member: what had been
// agreed on is in it, and what had not may be.
func Offline(ctx context.Context, cfg config.Config, do func(context.Context, *Datastore, *clientv3.Client) error) error {
	kind := Kind(cfg)
	if kind != config.DatastoreEtcd {
		d := New(cfg)
		return d.With(ctx, func(ctx context.Context, client *clientv3.Client) error { return do(ctx, d, client) })
	}
	scratch := cfg.Paths().Etcd + ".copy"
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return fmt.Errorf("make a directory for a copy of etcd's data: %w", err)
	}
	defer os.RemoveAll(scratch)
	b, err := aside(ctx, cfg, kind, scratch)
	if err != nil {
		return err
	}
	if err := copyPrivate(b.paths.Etcd, cfg.Paths().Etcd); err != nil {
		return fmt.Errorf("copy etcd's data: %w", err)
	}
	b.member.ForceNew = true
	// What it reads names its peers, and it must not appear among them a second
	// time: with another authority than theirs nobody speaks to anybody.
	b.member.Peer.CA = pki.AuthorityFiles(cfg.Paths(), pki.ServerCA).Cert
	d := newEtcd(b.member, b.paths)
	ctx = quiet(ctx)
	return d.With(ctx, func(ctx context.Context, client *clientv3.Client) error { return do(ctx, d, client) })
}

// copyPrivate copies a directory for root alone.
func copyPrivate(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o700)
	})
}

// quiet leaves out what a datastore logs that is opened for a moment, errors
// excepted.
func quiet(ctx context.Context) context.Context {
	from := log.G(ctx)
	logger := logrus.New()
	logger.SetOutput(from.Logger.Out)
	logger.SetFormatter(from.Logger.Formatter)
	logger.SetLevel(min(logrus.ErrorLevel, from.Logger.GetLevel()))
	return log.WithLogger(ctx, logger.WithFields(from.Data))
}

func freePort(ctx context.Context) (uint16, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port(), nil
}

type builder struct {
	kind   config.DatastoreKind
	paths  config.Paths
	member etcd.Inputs
}

func (b builder) build(ctx context.Context, c Content) error {
	scratch := b.paths.Etcd + ".scratch"
	for _, dir := range []string{b.paths.SQLite, b.paths.Etcd, scratch} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove what is left of an earlier try: %w", err)
		}
	}
	defer os.RemoveAll(scratch)
	d, revision := newSQLite(b.paths), c.Revision+beyond
	var err error
	if b.kind == config.DatastoreEtcd {
		d = newEtcd(b.member, b.paths)
		err = migrate.Write(revision, c.Keys, migrate.Member{Name: b.member.Name, PeerURL: b.member.PeerURL(), Dir: b.member.Dir}, scratch)
	} else {
		err = kine.Fill(ctx, kine.Options{File: b.paths.SQLiteFile, Socket: b.paths.KineSocket}, revision, c.Keys)
	}
	if err != nil {
		return fmt.Errorf("write the datastore: %w", err)
	}
	if err := d.With(quiet(ctx), func(ctx context.Context, client *clientv3.Client) error {
		return records.CompareWith(ctx, d.Source(client, false), revision, c.Keys)
	}); err != nil {
		return fmt.Errorf("read the datastore back: %w", err)
	}
	return nil
}

// Swap puts a datastore that was built in the place of the live one, which is
// kept, and returns where. Killed at any point, FinishSwap completes it.
func Swap(cfg config.Config, kind config.DatastoreKind, reason string, now time.Time) (kept []string, err error) {
	paths := cfg.Paths()
	last, err := epoch.Current(paths)
	if err != nil {
		return nil, err
	}
	if err := last.Next(reason, cfg.Node.Name, now).Write(built(paths.Epoch)); err != nil {
		return nil, err
	}
	suffix := ".before-" + reason + "-" + now.UTC().Format("20060102T150405Z")
	var s swap
	// What says that this server has joined others goes, too: it is the first of its cluster.
	for _, path := range []string{paths.SQLite, paths.Etcd, paths.EtcdServers, paths.ClusterFile, paths.Epoch} {
		if exists(path) {
			s.Renames = append(s.Renames, rename{From: path, To: path + suffix})
			kept = append(kept, path+suffix)
		}
	}
	live := paths.SQLite
	if kind == config.DatastoreEtcd {
		live = paths.Etcd
	}
	s.Renames = append(s.Renames, rename{From: built(paths.Epoch), To: paths.Epoch}, rename{From: built(live), To: live})
	if err := s.write(paths.Swap); err != nil {
		return nil, err
	}
	return kept, FinishSwap(paths)
}

// SetAside moves the data of a server that joins anew out of the way, and returns
// where it is kept.
func SetAside(cfg config.Config, reason string, now time.Time) (kept []string, err error) {
	paths := cfg.Paths()
	suffix := ".before-" + reason + "-" + now.UTC().Format("20060102T150405Z")
	for _, path := range []string{paths.SQLite, paths.Etcd} {
		if !exists(path) {
			continue
		}
		if err := os.Rename(path, path+suffix); err != nil {
			return nil, fmt.Errorf("set the datastore aside: %w", err)
		}
		kept = append(kept, path+suffix)
	}
	// An empty directory has the server join with etcd.
	if err := os.MkdirAll(paths.Etcd, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of etcd: %w", err)
	}
	return kept, atomicfile.SyncDir(filepath.Dir(paths.Etcd))
}
