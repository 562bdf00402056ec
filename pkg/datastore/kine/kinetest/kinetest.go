// Package kinetest runs kine over SQLite, as a single server does, for tests of
// what uses a datastore.
package kinetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelp-project/kelp/pkg/datastore/kine"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// Start runs a store until the test ends, and returns what connects to it.
func Start(t testing.TB) (connect func() *clientv3.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kine") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	store := kine.New(kine.Options{File: filepath.Join(dir, "db", "state.db"), Socket: filepath.Join(dir, "run", "kine.sock")})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := store.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = os.RemoveAll(dir)
	})
	connect = func() *clientv3.Client {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{store.URL()}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	if err := poll.Until(ctx, 10*time.Second, func(ctx context.Context) error {
		_, err := connect().Get(ctx, "/registry/health")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return connect
}
