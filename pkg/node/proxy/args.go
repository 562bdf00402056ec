package proxy

import (
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
)

// Inputs is what is seen of the host or given by the role.
type Inputs struct {
	// Kubeconfig is how kube-proxy reaches the API server.
	Kubeconfig string
	// OwnNode is the kubelet's kubeconfig, which is allowed to see this node
	// from the first moment.
	OwnNode string
	// NFTables says that the host has nft; otherwise iptables is used.
	NFTables bool
	// ConntrackLimits says that the number of tracked connections may be set.
	ConntrackLimits bool
	// ConntrackTimeouts says that the timeouts of connections may be set.
	ConntrackTimeouts bool
	// OOMScoreAdj is the process's score where it may not be lowered.
	OOMScoreAdj *int32
}

// Args are kube-proxy's flags as kelp computes them, with the user's merged
// in by policy.
func Args(cfg config.Config, in Inputs) (*args.Set, error) {
	s := args.NewSet("kube-proxy")
	s.Owned("kubeconfig", in.Kubeconfig, "the certificates of the node are made for it")
	s.Owned("hostname-override", cfg.Node.Name, "set node.name instead")
	mode := "iptables"
	if in.NFTables {
		mode = "nftables"
	}
	s.Config("proxy-mode", mode)
	s.Config("cluster-cidr", cidrs(cfg))
	s.Config("detect-local-mode", "ClusterCIDR")
	s.Default("healthz-bind-address", "127.0.0.1:10256")
	s.Default("metrics-bind-address", "127.0.0.1:10249")
	s.Default("nodeport-addresses", "primary")
	s.Config("profiling", boolText(cfg.Debug))
	// Zero leaves the kernel's own value.
	if !in.ConntrackLimits {
		s.Config("conntrack-max-per-core", "0")
		s.Config("conntrack-min", "0")
	}
	if !in.ConntrackTimeouts {
		s.Config("conntrack-tcp-timeout-established", "0")
		s.Config("conntrack-tcp-timeout-close-wait", "0")
	}
	if in.OOMScoreAdj != nil {
		s.Config("oom-score-adj", strconv.Itoa(int(*in.OOMScoreAdj)))
	}
	s.Refused("config", "give single arguments; with a file kube-proxy would ignore them")
	s.Refused("write-config-to", "kube-proxy would end, and kelp with it")
	s.Refused("cleanup", "kube-proxy would end, and kelp with it")
	s.Refused("init-only", "kube-proxy would end, and kelp with it")
	for _, name := range []string{"v", "vmodule", "logging-format"} {
		s.Refused(name, "set log.level and log.format")
	}
	fs := flagSet(app.NewOptions())
	fs.VisitAll(func(f *pflag.Flag) { s.Suggest(f.Name) })
	return s, s.Merge(cfg.Args.Proxy, func(name string) bool { return fs.Lookup(name) != nil })
}

func flagSet(o *app.Options) *pflag.FlagSet {
	fs := pflag.NewFlagSet("kube-proxy", pflag.ContinueOnError)
	fs.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	o.AddFlags(fs)
	return fs
}

func cidrs(cfg config.Config) string {
	texts := make([]string, len(cfg.Network.ClusterCIDRs))
	for i, c := range cfg.Network.ClusterCIDRs {
		texts[i] = c.String()
	}
	return strings.Join(texts, ",")
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
