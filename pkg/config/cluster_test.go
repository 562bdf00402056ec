package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServerAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://10.0.0.1:6443": "10.0.0.1:6443", "https://kelp.example/": "kelp.example:6443", "10.0.0.1": "10.0.0.1:6443",
		"kelp:7443": "kelp:7443", "https://[fd00::1]": "[fd00::1]:6443", "[fd00::1]:1": "[fd00::1]:1",
	} {
		if got, err := ServerAddress(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "http://10.0.0.1:6443", "https://", "https://a/b", "https://a?b", "https://u:p@a", "https://a:b:c"} {
		if got, err := ServerAddress(text); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}

// A machine that joins takes over what the cluster has, whatever its own
// defaults are.
func TestWithCluster(t *testing.T) {
	t.Parallel()
	cluster := Default()
	cluster.Network.ClusterCIDRs = []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")}
	cluster.Network.ClusterDomain = "c.example"
	cluster.Network.Backend = BackendHostGW
	cluster.Components.Disable = []string{"coredns"}
	cluster.Token, cluster.Node.Name = "secret", "server"
	wide := cluster.ClusterWide()
	if _, there := wide["token"]; there || wide["node.name"] != nil {
		t.Errorf("more than the cluster's settings: %v", wide)
	}
	wide["network.future"] = []string{"x"}
	got, err := Default().WithCluster(wide, Origins{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wide["network.clusterCIDRs"], got.ClusterWide()["network.clusterCIDRs"]); diff != "" {
		t.Error(diff)
	}
	delete(wide, "network.future")
	if diff := cmp.Diff(wide, got.ClusterWide()); diff != "" {
		t.Error(diff)
	}
	if got.Node.Name != "" || got.Token != "" {
		t.Errorf("took over more: %+v", got)
	}
}

func TestWithClusterRefusesContradictions(t *testing.T) {
	t.Parallel()
	cluster, own := Default(), Default()
	cluster.Network.ClusterDomain = "c.example"
	own.Network.ClusterDomain = "mine.example"
	origins := Origins{"network.clusterDomain": {File: "config.yaml", Line: 3}}
	_, err := own.WithCluster(cluster.ClusterWide(), origins)
	if err == nil || !strings.Contains(err.Error(), "config.yaml:3: network.clusterDomain is mine.example, and the cluster's is c.example") {
		t.Errorf("%v", err)
	}
	own.Network.ClusterDomain = "c.example"
	if _, err := own.WithCluster(cluster.ClusterWide(), origins); err != nil {
		t.Errorf("the same value is refused: %v", err)
	}
	wide := cluster.ClusterWide()
	wide["network.clusterCIDRs"] = []string{"nonsense"}
	if _, err := Default().WithCluster(wide, nil); err == nil || !strings.Contains(err.Error(), "network.clusterCIDRs") {
		t.Errorf("%v", err)
	}
}
