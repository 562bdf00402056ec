package kubelet

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
	"github.com/kelp-project/kelp/pkg/pki"
)

func single() config.Config {
	cfg := config.Default()
	cfg.Node.Name = "node-1"
	cfg.Node.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	cfg.Network.ClusterDNS = []netip.Addr{netip.MustParseAddr("10.43.0.10")}
	return cfg
}

func dualStack() config.Config {
	cfg := single()
	cfg.Node.IPs = append(cfg.Node.IPs, netip.MustParseAddr("2001:db8::10"))
	cfg.Network.ClusterDNS = append(cfg.Network.ClusterDNS, netip.MustParseAddr("2001:db8:43::a"))
	cfg.Node.Labels = []string{"disk=ssd", "zone=a"}
	cfg.Node.Taints = []string{"dedicated=db:NoSchedule"}
	cfg.Kubelet.ProtectKernelDefaults = true
	cfg.Args.Kubelet = []string{"max-pods=200", "--node-labels=rack=7", "feature-gates=MemoryQoS=true"}
	return cfg
}

func inputs() Inputs {
	return Inputs{
		Serving:    pki.Files{Cert: "/tls/kubelet-serving.crt", Key: "/tls/kubelet-serving.key", CA: "/tls/server-ca.crt"},
		ClientCA:   "/tls/client-ca.crt",
		Kubeconfig: "/kubeconfigs/kubelet.kubeconfig",
		ResolvConf: "/etc/resolv.conf",
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]config.Config{"single": single(), "dual-stack": dualStack()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := yaml.Marshal(Configuration(cfg, inputs()))
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "config."+name+".yaml", text)
			set, err := Args(cfg, inputs())
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "args."+name+".golden", []byte(strings.Join(set.Render(), "\n")+"\n"))
		})
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	dropIns := []DropIn{{Path: "10-pods.conf", Data: []byte(head + "maxPods: 50\npodsPerCore: 7\nevictionHard:\n  memory.available: 1Gi\nfeatureGates:\n  MemoryQoS: false\n  PodLogsQuerySplitStreams: true\n")}}
	server, effective, err := Server(dualStack(), inputs(), dropIns)
	if err != nil {
		t.Fatal(err)
	}
	// Arguments win over drop-ins, drop-ins over what kelp computes.
	if server.MaxPods != 200 || effective.MaxPods != 50 || server.PodsPerCore != 7 {
		t.Errorf("max pods %d, in files %d, per core %d", server.MaxPods, effective.MaxPods, server.PodsPerCore)
	}
	if server.EvictionHard["memory.available"] != "1Gi" || server.EvictionHard["nodefs.available"] != "5%" {
		t.Errorf("eviction thresholds were not merged: %v", server.EvictionHard)
	}
	if !server.FeatureGates["MemoryQoS"] || !server.FeatureGates["PodLogsQuerySplitStreams"] {
		t.Errorf("feature gates were not merged: %v", server.FeatureGates)
	}
	if server.NodeLabels["rack"] != "7" || server.NodeLabels["disk"] != "ssd" {
		t.Errorf("node labels %v", server.NodeLabels)
	}
	if len(server.RegisterWithTaints) != 1 || server.RegisterWithTaints[0].Key != "dedicated" {
		t.Errorf("taints %v", server.RegisterWithTaints)
	}
	if server.NodeIP != "192.0.2.10,2001:db8::10" || server.HostnameOverride != "node-1" {
		t.Errorf("node %q at %q", server.HostnameOverride, server.NodeIP)
	}
	// Setting the one makes every node write its whole status every 10 s.
	if effective.NodeStatusUpdateFrequency.Duration != 0 || server.NodeStatusReportFrequency.Minutes() != 5 {
		t.Errorf("status is reported every %s", server.NodeStatusReportFrequency.Duration)
	}
}

func TestSecureByDefault(t *testing.T) {
	t.Parallel()
	server, _, err := Server(single(), inputs(), nil)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case server.Authentication.Anonymous.Enabled, !server.Authentication.Webhook.Enabled:
		t.Error("anonymous requests are let in")
	case server.Authorization.Mode != "Webhook":
		t.Errorf("authorization is %s", server.Authorization.Mode)
	case server.Authentication.X509.ClientCAFile == "":
		t.Error("clients have no authority")
	case server.ReadOnlyPort != 0:
		t.Errorf("the read-only port is %d", server.ReadOnlyPort)
	case !server.KubeletConfiguration.SeccompDefault:
		t.Error("containers have no seccomp profile")
	case server.HealthzBindAddress != "127.0.0.1":
		t.Errorf("health is on %s", server.HealthzBindAddress)
	case server.EnableProfilingHandler:
		t.Error("profiling is on")
	}
}

func TestRefusedArguments(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]string{
		"hostname-override=x":            "hostname-override is set by kelp; set node.name instead",
		"network-plugin=cni":             "network-plugin was removed in v1.24; the container runtime has the network plugins",
		"containerd=/x.sock":             "containerd was removed in v1.37; the embedded containerd's socket is used",
		"max-podz=3":                     "did you mean max-pods?",
		"runonce=true":                   "runonce is not for kelp",
		"v=4":                            "v is not for kelp: set log.level and log.format",
		"feature-gates=PodSecurity=true": "feature gate PodSecurity was removed in v1.28",
	} {
		cfg := single()
		cfg.Args.Kubelet = []string{argument}
		if _, _, err := Server(cfg, inputs(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", argument, err, want)
		}
	}
}

func TestResolvConfOfANodeWithoutResolvers(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(string(resolvConf(dualStack().Node.IPs))), "\n")
	if !slices.Equal(lines[1:], []string{"nameserver 192.0.2.10", "nameserver 2001:db8::10"}) {
		t.Errorf("got %q", lines)
	}
}

func TestKernelDefaults(t *testing.T) {
	t.Parallel()
	if err := kernelDefaults(func(name string) (int, error) { return wanted[name], nil }); err != nil {
		t.Errorf("a kernel as it should be: %v", err)
	}
	err := kernelDefaults(func(name string) (int, error) {
		if name == "kernel/panic" {
			return 0, nil
		}
		return wanted[name], nil
	})
	if err == nil || !strings.Contains(err.Error(), "kernel setting kernel.panic is 0 and must be 10") {
		t.Errorf("got %v", err)
	}
}
