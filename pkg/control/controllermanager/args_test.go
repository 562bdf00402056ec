package controllermanager

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func sample(user ...string) config.Config {
	cfg := config.Default()
	cfg.DataDir = "/var/lib/kelp"
	cfg.API.HTTPSPort = 6443
	cfg.Network.ClusterCIDRs = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}
	cfg.Network.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	cfg.Args.ControllerManager = user
	return cfg
}

func TestArgs(t *testing.T) {
	t.Parallel()
	dual := sample()
	dual.Debug = true
	dual.Network.ClusterCIDRs = append(dual.Network.ClusterCIDRs, netip.MustParsePrefix("fd42::/56"))
	dual.Network.ServiceCIDRs = append(dual.Network.ServiceCIDRs, netip.MustParsePrefix("fd43::/112"))
	for name, cfg := range map[string]config.Config{
		"single":     sample(),
		"dual-stack": dual,
		"user":       sample("controllers=-ttl", "node-monitor-grace-period=20s", "concurrent_rc_syncs=7", "feature-gates=A=true"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := New(cfg, Inputs{Paths: cfg.Paths()}).Merged()
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name+".args.golden", []byte(strings.Join(set.Render(), "\n")+"\n"))
		})
	}
}

func TestArgsRefuse(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"pod-eviction-timeout=5m": "pod-eviction-timeout was removed in v1.27; set default-not-ready-toleration-seconds and default-unreachable-toleration-seconds for kube-apiserver",
		"cluster-cidr=10.0.0.0/8": "cluster-cidr is set by kelp; set network.clusterCIDRs instead",
		"leader-elect=true":       "leader-elect is set by kelp; one lease of kelp's decides for all components on which server they run",
		"kubeconfig=/x":           "kubeconfig is set by kelp; its certificates are kelp's: see kelp certificate",
		"bind-adress=::":          "there is no bind-adress; did you mean bind-address?",
	} {
		cfg := sample(arg)
		_, err := New(cfg, Inputs{Paths: cfg.Paths()}).Merged()
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want …%s", arg, err, want)
		}
	}
}

// TestEveryArgumentIsAFlag catches names that upstream renames or drops, and
// removed ones that are none.
func TestEveryArgumentIsAFlag(t *testing.T) {
	t.Parallel()
	_, all, set, err := New(sample(), Inputs{Paths: sample().Paths()}).options()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range set.Entries() {
		if !all.Has(e.Key) {
			t.Errorf("kube-controller-manager has no %s", e.Key)
		}
	}
	for name, r := range set.Removals() {
		if r.Release != "" && all.Has(name) {
			t.Errorf("%s is said to be removed in %s, but it is there", name, r.Release)
		}
	}
}

func TestNodeMask(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"10.42.0.0/16": "", "10.0.0.0/8": "", "10.42.0.0/26": "26", "0.0.0.0/4": "20",
		"fd42::/56": "", "fd42::/48": "", "fd42::/40": "56", "fd42::/112": "112",
	} {
		cfg := sample()
		cfg.Network.ClusterCIDRs = []netip.Prefix{netip.MustParsePrefix(prefix)}
		set := Args(cfg, cfg.Paths())
		v4, _ := set.Get("node-cidr-mask-size-ipv4")
		v6, _ := set.Get("node-cidr-mask-size-ipv6")
		if got := v4 + v6; got != want {
			t.Errorf("%s: a node gets /%s, want /%s", prefix, got, want)
		}
	}
}
