package datastore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

func TestEndpointFollowsTheKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[config.DatastoreKind]Endpoint{
		config.DatastoreAuto:   {URLs: []string{"unix:///run/kelp/kine.sock"}},
		config.DatastoreSQLite: {URLs: []string{"unix:///run/kelp/kine.sock"}},
		config.DatastoreEtcd: {
			URLs:   []string{"https://127.0.0.1:2379"},
			CAFile: "/d/server/tls/etcd-ca.crt", CertFile: "/d/server/tls/etcd-client.crt", KeyFile: "/d/server/tls/etcd-client.key",
		},
	} {
		cfg := config.Default()
		cfg.DataDir, cfg.Datastore.Kind = "/d", kind
		if diff := cmp.Diff(want, New(cfg).Endpoint()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

func TestReadyMeansAnswering(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := config.Default()
	cfg.DataDir = dir
	paths := cfg.Paths()
	paths.RunDir, paths.KineSocket = dir, filepath.Join(dir, "kine.sock")
	store := NewAt(cfg, paths)
	for range 2 { // it can be run again after it has stopped
		early, cancelEarly := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := store.Ready(early); err == nil {
			t.Error("ready before it runs")
		}
		cancelEarly()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- store.Run(ctx) }()
		if err := poll.Until(ctx, 10*time.Second, store.Ready); err != nil {
			t.Fatalf("%v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// A datastore in which the data is not is refused, by the place where the data is: to
// begin there would be an empty cluster.
func TestOtherDatastoresThanTheDatasAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		has    func(config.Paths) string
		wanted map[config.DatastoreKind]string // and what is said of it
	}{
		"nothing": {nil, map[config.DatastoreKind]string{config.DatastoreAuto: "", config.DatastoreSQLite: "", config.DatastoreEtcd: "", config.DatastoreExternal: ""}},
		"SQLite's": {func(p config.Paths) string { return p.SQLiteFile }, map[config.DatastoreKind]string{
			config.DatastoreAuto: "", config.DatastoreSQLite: "", config.DatastoreEtcd: "" /* it moves */, config.DatastoreExternal: "data is in SQLite",
		}},
		"etcd's": {func(p config.Paths) string { return filepath.Join(p.Etcd, "member", "wal", "0.wal") }, map[config.DatastoreKind]string{
			config.DatastoreAuto: "", config.DatastoreSQLite: "data is in etcd", config.DatastoreEtcd: "", config.DatastoreExternal: "data is in etcd",
		}},
		"an external one's": {func(p config.Paths) string { return p.ExternalFile }, map[config.DatastoreKind]string{
			config.DatastoreAuto: "external datastore", config.DatastoreSQLite: "external datastore", config.DatastoreEtcd: "external datastore", config.DatastoreExternal: "",
		}},
	} {
		cfg := config.Default()
		cfg.DataDir = t.TempDir()
		if c.has != nil {
			file := c.has(cfg.Paths())
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for kind, want := range c.wanted {
			cfg.Datastore.Kind = kind
			if err := Check(cfg); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s data, %s wanted: %v, want %q", name, kind, err, want)
			}
		}
	}
}
