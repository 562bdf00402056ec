package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/kelp-project/kelp/pkg/config"
)

// Inputs is what is seen of the host or given by the role.
type Inputs struct {
	// Kubeconfig is how the network's identity reaches the API server; it is
	// allowed to see all nodes once kelp's roles have been applied.
	Kubeconfig string
	// OwnNode is the kubelet's kubeconfig, which is allowed to see this node
	// from the first moment: what the node's becoming Ready waits for is asked
	// with it.
	OwnNode string
	// NFTables says that rules are made with nft; otherwise with iptables.
	NFTables bool
}

// Node is what is known once the node has its pod CIDRs.
type Node struct {
	// PodCIDRs are the node's ranges for pods, one per family.
	PodCIDRs []netip.Prefix
	// MTU is that of pods' interfaces.
	MTU int
}

// conflistName is the file's name in the CNI directory: the first one wins.
const conflistName = "10-kelp.conflist"

// Bridge is the interface that connects a node's pods.
const Bridge = "cni0"

// Conflist is the CNI configuration of this node.
func Conflist(cfg config.Config, in Inputs, node Node) ([]byte, error) {
	ranges := make([][]map[string]string, len(node.PodCIDRs))
	for i, c := range node.PodCIDRs {
		ranges[i] = []map[string]string{{"subnet": c.String()}}
	}
	rules := "iptables"
	if in.NFTables {
		rules = "nftables"
	}
	conf := map[string]any{
		"cniVersion": "1.0.0",
		"name":       "kelp",
		"plugins": []map[string]any{
			{
				"type":             "bridge",
				"bridge":           Bridge,
				"mtu":              node.MTU,
				"isDefaultGateway": true,
				"forceAddress":     true, // after a changed pod CIDR
				"hairpinMode":      true, // a pod reaches itself through its Service
				"ipam": map[string]any{
					"type":   "host-local",
					"ranges": ranges,
					// On a tmpfs: after a reboot there are no pods that hold an address.
					"dataDir": filepath.Join(cfg.Paths().RunDir, "cni"),
				},
			},
			{"type": "portmap", "backend": rules, "capabilities": map[string]bool{"portMappings": true}},
			{"type": "bandwidth", "capabilities": map[string]bool{"bandwidth": true}},
		},
	}
	return indent(conf, "CNI configuration")
}

// NetConf is flannel's configuration.
func NetConf(cfg config.Config, in Inputs) ([]byte, error) {
	conf := map[string]any{
		"EnableIPv4":     false,
		"EnableNFTables": in.NFTables,
		"Backend":        map[string]any{"Type": backendType(cfg.Network.Backend)},
	}
	for _, c := range cfg.Network.ClusterCIDRs {
		if c.Addr().Is4() {
			conf["EnableIPv4"], conf["Network"] = true, c.Masked().String()
		} else {
			conf["EnableIPv6"], conf["IPv6Network"] = true, c.Masked().String()
		}
	}
	return indent(conf, "flannel configuration")
}

// backendType is flannel's own name for a backend.
func backendType(b config.NetworkBackend) string {
	if b == config.BackendWireGuard {
		return "wireguard"
	}
	return string(b)
}

// overhead is what the backend takes of a packet for itself. Flannel reckons
// with IPv4 between nodes; with IPv6, VXLAN takes 20 bytes more.
func overhead(cfg config.Config) int {
	switch cfg.Network.Backend {
	case config.BackendWireGuard:
		return 80 // enough for both
	case config.BackendVXLAN:
		for _, c := range cfg.Network.ClusterCIDRs {
			if c.Addr().Is6() {
				return 70
			}
		}
		return 50
	}
	return 0
}

func indent(value any, what string) ([]byte, error) {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", what, err)
	}
	return append(data, '\n'), nil
}
