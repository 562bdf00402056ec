package network

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/flannel-io/flannel/pkg/backend"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/lease"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"

	// The backends register themselves.
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	_ "github.com/flannel-io/flannel/pkg/backend/wireguard"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

// annotationPrefix is where flannel keeps its part of a Node, the same as
// everywhere else, so that people find it.
const annotationPrefix = "flannel.alpha.coreos.com"

// link finds the interface that carries packets between nodes: the one that
// is configured, else the one with the node's address.
func link(cfg config.Config, conf *subnet.Config) (*backend.ExternalInterface, error) {
	stack, err := ipmatch.GetIPFamily(conf.EnableIPv4, conf.EnableIPv6)
	if err != nil {
		return nil, fmt.Errorf("network without an address family: %w", err)
	}
	var public ipmatch.PublicIPOpts
	for _, a := range cfg.Node.IPs {
		if a.Is4() && conf.EnableIPv4 {
			public.PublicIP = a.String()
		} else if a.Is6() && conf.EnableIPv6 {
			public.PublicIPv6 = a.String()
		}
	}
	by := cfg.Network.Interface
	if by == "" {
		if by = public.PublicIP; by == "" {
			by = public.PublicIPv6
		}
	}
	ext, err := ipmatch.LookupExtIface(by, "", "", stack, public)
	if err != nil {
		return nil, fmt.Errorf("find the interface for packets between nodes (%s): %w", by, err)
	}
	return ext, nil
}

// flannel runs the backend until ctx ends; registered is called with the
// pods' MTU once packets can flow.
func flannel(ctx context.Context, cfg config.Config, in Inputs, conf *subnet.Config, ext *backend.ExternalInterface, registered func(mtu int) error) error {
	p := cfg.Paths()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	manager, err := subnetManager(ctx, cfg, in)
	if err != nil {
		return err
	}
	b, err := backend.NewManager(ctx, manager, ext).GetBackend(conf.BackendType)
	if err != nil {
		return fmt.Errorf("start flannel's backend %s: %w", conf.BackendType, err)
	}
	network, err := b.RegisterNetwork(ctx, &wg, conf)
	if err != nil {
		return fmt.Errorf("register with flannel's backend %s: %w", conf.BackendType, err)
	}
	l := network.Lease()
	if err := manager.HandleSubnetFile(filepath.Join(p.Flannel, "subnet.env"), conf, true, l.Subnet, l.IPv6Subnet, network.MTU()); err != nil {
		return fmt.Errorf("write flannel's subnet file: %w", err)
	}
	if err := registered(network.MTU()); err != nil {
		return err
	}
	wg.Go(func() { network.Run(ctx) })
	if err := manager.CompleteLease(ctx, l, &wg); err != nil && ctx.Err() == nil {
		return fmt.Errorf("keep flannel's lease: %w", err)
	}
	<-ctx.Done()
	return nil
}

// subnetManager keeps leases in the annotations of Nodes. Upstream reads its
// configuration from a file and the node's name from the environment.
func subnetManager(ctx context.Context, cfg config.Config, in Inputs) (subnet.Manager, error) {
	conf, err := NetConf(cfg, in)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(cfg.Paths().Flannel, "net-conf.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("create flannel's directory: %w", err)
	}
	if _, err := atomicfile.WriteIfChanged(file, conf, 0o644); err != nil {
		return nil, err
	}
	if err := os.Setenv("NODE_NAME", cfg.Node.Name); err != nil {
		return nil, fmt.Errorf("tell flannel the node's name: %w", err)
	}
	defer os.Unsetenv("NODE_NAME")
	if err := nodewatch.Allowed(ctx, in.Kubeconfig, "/api/v1/nodes?limit=1"); err != nil {
		return nil, err
	}
	manager, err := kube.NewSubnetManager(ctx, "", in.Kubeconfig, annotationPrefix, file, false)
	if err != nil {
		return nil, fmt.Errorf("start flannel's subnet manager: %w", err)
	}
	return manager, nil
}

// leaseOf is the node's own lease as far as rules need it.
func leaseOf(node Node) *lease.Lease {
	l := &lease.Lease{}
	for _, c := range node.PodCIDRs {
		n := &net.IPNet{IP: c.Masked().Addr().AsSlice(), Mask: net.CIDRMask(c.Bits(), c.Addr().BitLen())}
		if c.Addr().Is4() {
			l.EnableIPv4, l.Subnet = true, ip.FromIPNet(n)
		} else {
			l.EnableIPv6, l.IPv6Subnet = true, ip.FromIP6Net(n)
		}
	}
	return l
}
