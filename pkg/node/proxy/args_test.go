package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func single() config.Config {
	cfg := config.Default()
	cfg.Node.Name = "node-1"
	return cfg
}

func TestGolden(t *testing.T) {
	t.Parallel()
	dual := single()
	dual.Network.ClusterCIDRs = append(dual.Network.ClusterCIDRs, netip.MustParsePrefix("2001:db8:42::/56"))
	dual.Args.Proxy = []string{"nodeport-addresses=all", "masquerade-all"}
	full := Inputs{Kubeconfig: "/kubeconfigs/proxy.kubeconfig", NFTables: true, ConntrackLimits: true, ConntrackTimeouts: true}
	poor := Inputs{Kubeconfig: "/kubeconfigs/proxy.kubeconfig"}
	for name, c := range map[string]struct {
		cfg config.Config
		in  Inputs
	}{"args.single.golden": {single(), full}, "args.container.golden": {single(), poor}, "args.dual-stack.golden": {dual, full}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := Args(c.cfg, c.in)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name, []byte(strings.Join(set.Render(), "\n")+"\n"))
			o := app.NewOptions()
			fs := flagSet(o)
			if err := fs.Parse(set.Render()); err != nil {
				t.Fatal(err)
			}
			if err := o.Complete(fs); err != nil {
				t.Fatal(err)
			}
			if err := o.Validate(); err != nil {
				t.Errorf("kube-proxy refuses what kelp computes: %v", err)
			}
		})
	}
}

func TestRefusedArguments(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]string{
		"kubeconfig=/x": "kubeconfig is set by kelp",
		"config=/x":     "config is not for kelp: give single arguments",
		"cleanup":       "cleanup is not for kelp",
		"proxy-modes=x": "did you mean proxy-mode?",
	} {
		cfg := single()
		cfg.Args.Proxy = []string{argument}
		if _, err := Args(cfg, Inputs{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", argument, err, want)
		}
	}
}
