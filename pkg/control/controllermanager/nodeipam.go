package controllermanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/nodeipam"
	"k8s.io/kubernetes/pkg/controller/nodeipam/ipam"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// ipamFlags are kube-controller-manager's own about nodes' ranges. A user who
// sets one of them gets its controller in place of NodeIPAM.
var ipamFlags = []string{"allocate-node-cidrs", "cidr-allocator-type", "controllers", "node-cidr-mask-size", "node-cidr-mask-size-ipv4", "node-cidr-mask-size-ipv6"}

// EarlyIPAM says whether NodeIPAM gives nodes their ranges, and not
// kube-controller-manager.
func EarlyIPAM(cfg config.Config) bool {
	for _, arg := range cfg.Args.ControllerManager {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if slices.Contains(ipamFlags, strings.ReplaceAll(name, "_", "-")) {
			return false
		}
	}
	return cfg.Network.Backend != config.BackendNone
}

// NodeIPAM is kube-controller-manager's node-ipam-controller on its own. A node
// is not Ready before it has a range for its pods, and in the controller
// manager that waits for the whole API to be ready, and for forty controllers
// to get their identities: about a second of each first start.
type NodeIPAM struct {
	cfg     config.Config
	paths   config.Paths
	started atomic.Bool
}

// NewNodeIPAM returns the controller; nothing is started before Run.
func NewNodeIPAM(cfg config.Config, in Inputs) *NodeIPAM {
	return &NodeIPAM{cfg: cfg, paths: in.Paths}
}

// Run gives nodes their ranges until ctx ends. The API has to answer requests
// when it is called: upstream waits ten seconds before it lists nodes again.
func (n *NodeIPAM) Run(ctx context.Context) error {
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(n.paths, pki.Kelp))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-node-ipam"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	var ranges, services []*net.IPNet
	var masks []int
	for _, p := range n.cfg.Network.ClusterCIDRs {
		_, bits, _ := nodeMask(p)
		ranges = append(ranges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
		masks = append(masks, bits)
	}
	for _, p := range n.cfg.Network.ServiceCIDRs {
		services = append(services, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	services = append(services, nil, nil) // a cluster of one family has no second range
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := nodeipam.NewNodeIpamController(ctx, factory.Core().V1().Nodes(), nil, client, ranges, services[0], services[1], masks, ipam.RangeAllocatorType)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("give nodes their ranges: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	n.started.Store(true)
	controller.Run(ctx)
	return nil
}

// Ready is nil once nodes get their ranges.
func (n *NodeIPAM) Ready(context.Context) error {
	if !n.started.Load() {
		return errors.New("nodes have not been listed yet")
	}
	return nil
}
