package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// A server that has joined goes by what the one that began the cluster says, but
// for what can never change.
func TestSettingsFollowTheServerThatBegan(t *testing.T) {
	t.Parallel()
	first, second := testConfig(t, "first", "192.0.2.1"), testConfig(t, "second", "192.0.2.2")
	paths := remember(t, first, second)
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

// remember has one machine remember the settings of another one's cluster.
func remember(t *testing.T, first, second config.Config) config.Paths {
	t.Helper()
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
	return paths
}

// Settings with which a server could not start are not taken.
func TestSettingsAreRefused(t *testing.T) {
	t.Parallel()
	second := testConfig(t, "second", "192.0.2.2")
	paths := remember(t, testConfig(t, "first", "192.0.2.1"), second)
	before := mustRemember(t, paths)
	for text, want := range map[string]string{
		`{"snapshots.retain": ["9"]`:                "unexpected end of JSON",
		`{"snapshots.retain": ["many"]}`:            "snapshots.retain",
		`{"snapshots.schedule": ["every morning"]}`: `ConfigMap kube-system/kelp-settings: snapshots.schedule: "every morning" is not a cron expression`,
	} {
		if err := takeSettings(second, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if diff := cmp.Diff(before, mustRemember(t, paths)); diff != "" {
		t.Errorf("it remembers what it refused:\n%s", diff)
	}
	if err := takeSettings(second, `{"snapshots.retain": ["9"]}`); err != nil || mustRemember(t, paths).Settings["snapshots.retain"][0] != "9" {
		t.Errorf("a good one: %v", err)
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
