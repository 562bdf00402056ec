package kubelet

import (
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kubelet/app/options"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
)

// Args are the kubelet's flags as kelp computes them, with the user's merged
// in by policy.
func Args(cfg config.Config, in Inputs) (*args.Set, error) {
	p := cfg.Paths()
	s := args.NewSet("kubelet")
	s.Owned("config", p.KubeletConfig, "put a drop-in into kubelet.configDir instead")
	s.Owned("config-dir", cfg.Kubelet.ConfigDir, "set kubelet.configDir instead")
	s.Owned("hostname-override", cfg.Node.Name, "set node.name instead")
	s.Owned("kubeconfig", in.Kubeconfig, "the certificates of the node are made for it")
	s.Owned("node-ip", strings.Join(texts(cfg.Node.IPs), ","), "set node.ips instead")
	s.Owned("root-dir", p.KubeletRoot, "CSI drivers expect it there; mount a larger disk at that path")
	s.Config("cert-dir", filepath.Join(p.KubeletRoot, "pki"))
	if len(cfg.Node.Labels) > 0 {
		s.Append("node-labels", cfg.Node.Labels...)
	}
	if len(cfg.Node.Taints) > 0 {
		s.Append("register-with-taints", cfg.Node.Taints...)
	}
	for name, r := range removedFlags {
		s.Removed(name, r.release, r.successor)
	}
	s.Refused("bootstrap-kubeconfig", "its certificates are issued before it starts")
	s.Refused("rotate-certificates", "its client certificate is renewed by kelp, and read again without a restart")
	s.Refused("runonce", "the kubelet would end, and kelp with it")
	for _, name := range []string{"client-ca-file", "tls-cert-file", "tls-private-key-file"} {
		s.Refused(name, ownCerts)
	}
	for _, name := range []string{"container-runtime-endpoint", "image-service-endpoint"} {
		s.Refused(name, "the embedded containerd is used, and configured with containerd.configDir")
	}
	s.Refused("cgroup-driver", "it is containerd's: set SystemdCgroup of the runtime in containerd.configDir")
	for _, name := range []string{"v", "vmodule", "logging-format"} {
		s.Refused(name, "set log.level and log.format")
	}
	fs := flagSet(options.NewKubeletFlags(), nil)
	fs.VisitAll(func(f *pflag.Flag) { s.Suggest(f.Name) })
	return s, s.Merge(cfg.Args.Kubelet, func(name string) bool { return fs.Lookup(name) != nil })
}

// flagSet is the kubelet's flags, bound to flags and, unless it is nil, to
// the configuration in server.
func flagSet(flags *options.KubeletFlags, server *options.KubeletServer) *pflag.FlagSet {
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	fs.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	// Upstream marks every flag that is also in the configuration deprecated.
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if server == nil {
		server = &options.KubeletServer{}
	}
	flags.AddFlags(fs)
	options.AddKubeletConfigFlags(fs, &server.KubeletConfiguration)
	return fs
}

// removedFlags are flags of former releases that people still have in their
// files.
var removedFlags = map[string]struct{ release, successor string }{
	"allow-privileged":          {"v1.15", "use pod security admission"},
	"cadvisor-port":             {"v1.12", "read /metrics/cadvisor on the kubelet's port"},
	"cni-bin-dir":               {"v1.24", "plugins in /opt/cni/bin are found"},
	"cni-conf-dir":              {"v1.24", "use --network=none and /etc/cni/net.d"},
	"container-runtime":         {"v1.27", "there is only remote"},
	"containerd":                {"v1.37", "the embedded containerd's socket is used"},
	"docker-endpoint":           {"v1.24", "there is no Docker in the kubelet"},
	"dynamic-config-dir":        {"v1.24", "put a drop-in into kubelet.configDir"},
	"network-plugin":            {"v1.24", "the container runtime has the network plugins"},
	"pod-infra-container-image": {"v1.35", "the pause image is embedded"},
}
