package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/google/go-cmp/cmp"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func dualStack() config.Config {
	cfg := config.Default()
	cfg.Network.ClusterCIDRs = prefixes("10.42.0.0/16", "2001:db8:42::/56")
	return cfg
}

func TestGolden(t *testing.T) {
	t.Parallel()
	sixOnly, wireguard := config.Default(), dualStack()
	sixOnly.Network.ClusterCIDRs = prefixes("2001:db8:42::/56")
	wireguard.Network.Backend = config.BackendWireGuard
	for name, c := range map[string]struct {
		cfg  config.Config
		in   Inputs
		node Node
	}{
		"single":     {config.Default(), Inputs{NFTables: true}, Node{prefixes("10.42.0.0/24"), 1450}},
		"iptables":   {config.Default(), Inputs{}, Node{prefixes("10.42.0.0/24"), 1450}},
		"dual-stack": {wireguard, Inputs{NFTables: true}, Node{prefixes("10.42.0.0/24", "2001:db8:42::/64"), 1420}},
		"ipv6":       {sixOnly, Inputs{NFTables: true}, Node{prefixes("2001:db8:42::/64"), 1450}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conflist, err := Conflist(c.cfg, c.in, c.node)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name+".conflist", conflist)
			conf, err := NetConf(c.cfg, c.in)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name+".net-conf.json", conf)
		})
	}
}

func TestFlannelReadsItsConfiguration(t *testing.T) {
	t.Parallel()
	text, err := NetConf(dualStack(), Inputs{NFTables: true})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := subnet.ParseConfig(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if !conf.EnableIPv4 || !conf.EnableIPv6 || !conf.EnableNFTables || conf.BackendType != "vxlan" {
		t.Errorf("flannel understood %+v", conf)
	}
	if conf.Network.String() != "10.42.0.0/16" || conf.IPv6Network.String() != "2001:db8:42::/56" {
		t.Errorf("networks %s and %s", conf.Network, conf.IPv6Network)
	}
}

func TestLeaseOf(t *testing.T) {
	t.Parallel()
	l := leaseOf(Node{PodCIDRs: prefixes("10.42.7.0/24", "2001:db8:42:7::/64")})
	if !l.EnableIPv4 || !l.EnableIPv6 || l.Subnet.String() != "10.42.7.0/24" || l.IPv6Subnet.String() != "2001:db8:42:7::/64" {
		t.Errorf("got %+v", l)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for path, value := range map[string]string{
		"net/ipv4/ip_forward":                "0\n",
		"net/ipv6/conf/all/forwarding":       "0\n",
		"net/ipv6/conf/eth0/accept_ra":       "1\n",
		"net/bridge/bridge-nf-call-iptables": "1\n",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apply(t.Context(), root, settings(dualStack(), "eth0"))
	got := map[string]string{}
	for _, s := range settings(dualStack(), "eth0") {
		if text, err := os.ReadFile(filepath.Join(root, s.path)); err == nil {
			got[s.path] = string(text)
		}
	}
	want := map[string]string{
		"net/ipv4/ip_forward":                "1",
		"net/ipv6/conf/all/forwarding":       "1",
		"net/ipv6/conf/eth0/accept_ra":       "2",
		"net/bridge/bridge-nf-call-iptables": "1\n", // was right, so it was not written
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoneChangesNothing(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Network.Backend = config.BackendNone
	n := New(cfg, Inputs{Kubeconfig: "/nonexistent"})
	ctx, stop := withStop(t)
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually(t, func() error { return n.Ready(ctx) })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(cfg.DataDir)
	if err != nil || len(left) != 0 {
		t.Errorf("wrote %v, %v", left, err)
	}
}

func TestOverhead(t *testing.T) {
	t.Parallel()
	for backend, want := range map[config.NetworkBackend][2]int{
		config.BackendVXLAN: {50, 70}, config.BackendWireGuard: {80, 80}, config.BackendHostGW: {0, 0},
	} {
		for i, cfg := range []config.Config{config.Default(), dualStack()} {
			cfg.Network.Backend = backend
			if got := overhead(cfg); got != want[i] {
				t.Errorf("%s takes %d bytes, want %d", backend, got, want[i])
			}
		}
	}
}
