package datastore

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
	"github.com/kelp-project/kelp/pkg/internal/records"
	"github.com/kelp-project/kelp/pkg/pki"
)

// machine is a server's configuration, in a directory with certificates.
type machine struct {
	cfg   config.Config
	paths config.Paths
	in    etcd.Inputs
}

func newMachine(t *testing.T) machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "move") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := config.Default()
	cfg.DataDir, cfg.Node.Name = dir, "one"
	cfg.Kubeconfig.Path = filepath.Join(dir, "kubeconfig")
	if err := pki.New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := machine{cfg: cfg, paths: cfg.Paths()}
	m.paths.RunDir, m.paths.KineSocket = filepath.Join(dir, "run"), filepath.Join(dir, "run", "kine.sock")
	m.in = EtcdInputs(cfg, m.paths)
	for _, port := range []*uint16{&m.in.ClientPort, &m.in.PeerPort} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		*port = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return m
}

// fill writes objects, some of them more than once, deletes some and gives
// some a life of a minute, as the API does with events.
func fill(ctx context.Context, client *clientv3.Client) error {
	lease, err := client.Grant(ctx, 60)
	if err != nil {
		return err
	}
	for i := range 700 { // more than a page
		key := fmt.Sprintf("/registry/things/%d", i)
		create := clientv3.OpPut(key, strings.Repeat("x", i))
		if i%7 == 0 {
			create = clientv3.OpPut(key, "short-lived", clientv3.WithLease(lease.ID))
		}
		res, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(create).Commit()
		if err != nil || !res.Succeeded {
			return fmt.Errorf("create %s: %v, %w", key, res, err)
		}
		at := res.Header.Revision
		switch i % 5 {
		case 1:
			_, err = client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(clientv3.OpPut(key, "again")).Else(clientv3.OpGet(key)).Commit()
		case 2:
			_, err = client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", at)).Then(clientv3.OpDelete(key)).Else(clientv3.OpGet(key)).Commit()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What is in SQLite is in etcd after the move, with its revisions; SQLite's
// files are kept, and what was killed on the way is begun anew.
func TestMove(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cfg, paths := m.cfg, m.paths
	var before, after records.Data
	if err := newSQLite(paths).With(t.Context(), func(ctx context.Context, c *clientv3.Client) (err error) {
		if err := fill(ctx, c); err != nil {
			return err
		}
		before, err = records.Read(ctx, records.Source{Client: c, Kine: true})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(before.Keys) != 560 { // without the one that kine makes
		t.Fatalf("%d keys, want 560", len(before.Keys))
	}
	if Moving(cfg) {
		t.Error("moves without being asked")
	}
	if err := AskToMove(cfg, time.Now()); err != nil || !Moving(cfg) {
		t.Fatalf("does not move when asked: %v", err)
	}
	// What a kill in the middle leaves.
	for _, left := range []string{paths.Etcd + ".new/member/snap", paths.Etcd + ".scratch"} {
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, "keys.db"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := moveTo(t.Context(), cfg, paths, m.in); err != nil {
		t.Fatal(err)
	}
	if err := KeepSQLite(cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	if Moving(cfg) || Kind(cfg) != config.DatastoreEtcd {
		t.Errorf("after the move: moving %v, kind %s", Moving(cfg), Kind(cfg))
	}
	if kept, _ := filepath.Glob(paths.SQLite + ".before-etcd-*/state.db"); len(kept) != 1 {
		t.Errorf("SQLite's files are not kept: %v", kept)
	}
	if err := newEtcd(m.in, paths).With(t.Context(), func(ctx context.Context, c *clientv3.Client) (err error) {
		if after, err = records.Read(ctx, records.Source{Client: c}); err != nil {
			return err
		}
		res, err := c.Put(ctx, "/registry/things/new", "")
		if err != nil || res.Header.Revision <= before.Revision {
			t.Errorf("the next write has revision %v, %v, not above %d", res, err, before.Revision)
		}
		leases, err := c.Leases(ctx)
		if err != nil || len(leases.Leases) != 1 {
			t.Errorf("leases: %v, %v", leases, err)
		}
		watch, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if w := <-c.Watch(watch, "/registry", clientv3.WithPrefix(), clientv3.WithRev(before.Revision-10)); w.CompactRevision == 0 {
			t.Errorf("a watch from before the move goes on as if nothing had been: %+v", w)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := records.Compare(before, after); err != nil {
		t.Error(err)
	}
	cfg.Datastore.Kind = config.DatastoreSQLite
	if err := Check(cfg); err == nil || !strings.Contains(err.Error(), "set auto or etcd") {
		t.Errorf("SQLite is taken beside etcd's data: %v", err)
	}
}

// A move that fails leaves everything as it was, says why, and is not tried
// again at once.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cfg := m.cfg
	if err := newSQLite(m.paths).With(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	if err := AskToMove(cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	broken := m.in
	broken.Name = "no=name"
	if err := moveTo(t.Context(), cfg, m.paths, broken); err != nil {
		t.Errorf("a move that was only asked for ends the start: %v", err)
	}
	if Moving(cfg) || Kind(cfg) != config.DatastoreSQLite {
		t.Errorf("moving %v, kind %s", Moving(cfg), Kind(cfg))
	}
	if err := AskToMove(cfg, time.Now()); err == nil || !strings.Contains(err.Error(), "has failed") {
		t.Errorf("tried again at once: %v", err)
	}
	if err := AskToMove(cfg, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("never tried again: %v", err)
	}
	cfg.Datastore.Kind = config.DatastoreSQLite
	if err := AskToMove(cfg, time.Now()); err == nil || !strings.Contains(err.Error(), "by its configuration") {
		t.Errorf("moves against the configuration: %v", err)
	}
}

func keys(names ...string) []*mvccpb.KeyValue {
	var list []*mvccpb.KeyValue
	for _, n := range names {
		list = append(list, &mvccpb.KeyValue{Key: []byte(n), ModRevision: 3})
	}
	return list
}

func TestCompareFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	cfg := records.Data{Revision: 5, Keys: keys("a", "b")}
	for name, c := range map[string]records.Data{
		"behind": {Revision: 4, Keys: keys("a", "b")}, "fewer": {Revision: 5, Keys: keys("a")},
		"other key":      {Revision: 5, Keys: keys("a", "c")},
		"other value":    {Revision: 5, Keys: []*mvccpb.KeyValue{keys("a")[0], {Key: []byte("b"), ModRevision: 3, Value: []byte("x")}}},
		"other revision": {Revision: 5, Keys: []*mvccpb.KeyValue{keys("a")[0], {Key: []byte("b"), ModRevision: 4}}},
		"other life":     {Revision: 5, Keys: []*mvccpb.KeyValue{keys("a")[0], {Key: []byte("b"), ModRevision: 3, Lease: 60}}},
		"twice":          {Revision: 5, Keys: keys("a", "a")},
	} {
		if err := records.Compare(cfg, c); err == nil {
			t.Errorf("%s: found nothing", name)
		}
	}
	if err := records.Compare(cfg, cfg); err != nil {
		t.Error(err)
	}
}
