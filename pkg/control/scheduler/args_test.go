package scheduler

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
	cfg.Args.Scheduler = user
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
		"user":       sample("secure-port=10300", "feature-gates=A=true"),
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
		"policy-config-file=/x": "policy-config-file was removed in v1.23; use config with a KubeSchedulerConfiguration",
		"leader-elect=true":     "leader-elect is set by kelp; one lease of kelp's decides for all components on which server they run",
		"kubeconfig=/x":         "kubeconfig is set by kelp; its certificates are kelp's: see kelp certificate",
		"bind-adress=::":        "there is no bind-adress; did you mean bind-address?",
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
			t.Errorf("kube-scheduler has no %s", e.Key)
		}
	}
	for name, r := range set.Removals() {
		if r.Release != "" && all.Has(name) {
			t.Errorf("%s is said to be removed in %s, but it is there", name, r.Release)
		}
	}
}
