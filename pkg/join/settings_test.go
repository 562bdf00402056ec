package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// A server that has joined goes by what the one that began the cluster says, but
// for what can never change.
func TestSettingsFollowTheServerThatBegan(t *testing.T) {
	t.Parallel()
	first, second := testConfig(t, "first", "192.0.2.1"), testConfig(t, "second", "192.0.2.2")
	paths := second.Paths()
	if err := os.MkdirAll(filepath.Dir(paths.ClusterFile), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Cluster{Version: "v1", Settings: first.ClusterWide(), Servers: []string{"192.0.2.1:6443"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths.ClusterFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset()
	ctx, cancel := context.WithCancel(t.Context())
	began, joined := NewServer(first, nil, nil), NewServer(second, nil, nil)
	ended := make(chan error, 2)
	for _, s := range []*Server{began, joined} {
		go func() { ended <- s.settings(ctx, client) }()
	}
	first.Snapshots.Retain = 7
	first.Components.Disable = []string{"coredns"}
	first.Network.ClusterDomain = "other.test"
	if err := began.Apply(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := poll.Until(ctx, 10*time.Second, func(context.Context) error {
		known, _, err := Remembered(paths)
		if err != nil {
			return err
		}
		if got := fmt.Sprint(known.Settings["snapshots.retain"], known.Settings["components.disable"]); got != "[7] [coredns]" {
			return errors.New(got)
		}
		if known.Settings["network.clusterDomain"][0] != "cluster.local" || known.Servers[0] != "192.0.2.1:6443" {
			t.Errorf("it remembers %+v", known)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Default().WithCluster(mustRemember(t, paths).Settings, nil)
	if err != nil || loaded.Snapshots.Retain != 7 {
		t.Errorf("the configuration is made with %d, %v", loaded.Snapshots.Retain, err)
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func mustRemember(t *testing.T, paths config.Paths) Cluster {
	t.Helper()
	c, _, err := Remembered(paths)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
