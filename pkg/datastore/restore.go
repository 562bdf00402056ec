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

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/datastore/migrate"
)

// beyond is how many revisions after the newest known one a restored datastore
// begins: more than were written since, however old a snapshot is, as etcd's
// documentation of a restore suggests.
const beyond = 1_000_000_000

// Content is what a datastore is made of.
type Content struct {
	Revision int64 // none of the keys' exceeds it
	Keys     migrate.Keys
}

// Build writes a datastore of the kind beside where the live one is, starts it,
// and compares what it answers with what was written. Nothing that is live is
// touched: Swap does that. The live one must not run.
func Build(ctx context.Context, cfg config.Config, kind config.DatastoreKind, c Content) error {
	b := builder{kind: kind, paths: cfg.Paths()}
	b.paths.SQLite, b.paths.Etcd = built(b.paths.SQLite), built(b.paths.Etcd)
	b.paths.SQLiteFile = filepath.Join(b.paths.SQLite, filepath.Base(b.paths.SQLiteFile))
	b.paths.ClusterFile = "" // it is the first of its cluster
	b.member = EtcdInputs(cfg, b.paths)
	return b.build(ctx, c)
}

// built is where a datastore is until it is swapped in.
func built(dir string) string { return dir + ".new" }

// Drill builds a datastore in a scratch directory, beside whatever runs, and
// removes it.
func Drill(ctx context.Context, cfg config.Config, kind config.DatastoreKind, c Content, scratch string) error {
	b := builder{kind: kind, paths: cfg.Paths()}
	b.paths.SQLite, b.paths.Etcd = filepath.Join(scratch, "sqlite"), filepath.Join(scratch, "etcd")
	b.paths.SQLiteFile = filepath.Join(b.paths.SQLite, "state.db")
	b.paths.ClusterFile, b.paths.RunDir = "", scratch
	b.paths.KineSocket = filepath.Join(scratch, "kine.sock")
	b.member = EtcdInputs(cfg, b.paths)
	b.member.Address, b.member.Name, b.member.User = netip.Addr{}, "drill", nil
	for _, port := range []*uint16{&b.member.ClientPort, &b.member.PeerPort} {
		var err error
		if *port, err = freePort(ctx); err != nil {
			return err
		}
	}
	return errors.Join(b.build(ctx, c), os.RemoveAll(b.paths.SQLite), os.RemoveAll(b.paths.Etcd))
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
	if err := d.with(ctx, func(ctx context.Context, client *clientv3.Client) error {
		return migrate.CompareWith(ctx, d.source(client), revision, c.Keys)
	}); err != nil {
		return fmt.Errorf("read the datastore back: %w", err)
	}
	return nil
}

// Swap puts a datastore that was built in the place of the live one, which is
// kept, and returns where. Killed at any point, FinishSwap completes it.
func Swap(cfg config.Config, kind config.DatastoreKind, reason string, now time.Time) (kept []string, err error) {
	paths := cfg.Paths()
	suffix := ".before-" + reason + "-" + now.UTC().Format("20060102T150405Z")
	var s swap
	// What says that this server has joined others goes, too: it is the first of its cluster.
	for _, path := range []string{paths.SQLite, paths.Etcd, paths.EtcdServers, paths.ClusterFile} {
		if exists(path) {
			s.Renames = append(s.Renames, rename{From: path, To: path + suffix})
			kept = append(kept, path+suffix)
		}
	}
	live := paths.SQLite
	if kind == config.DatastoreEtcd {
		live = paths.Etcd
	}
	s.Renames = append(s.Renames, rename{From: built(live), To: live})
	if err := s.write(paths.Swap); err != nil {
		return nil, err
	}
	return kept, FinishSwap(paths)
}
