// Command network is kelp's network component, flannel with vxlan, as a process
// of its own: what the separate processes that kelp is measured beside use.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node/network"
)

func main() {
	name := flag.String("node", "", "the node's name")
	ip := flag.String("ip", "", "the node's address")
	kubeconfig := flag.String("kubeconfig", "", "the kubeconfig to use")
	dir := flag.String("data-dir", "", "where the CNI plugins' configuration is written, below agent/cni/net.d")
	flag.Parse()
	if err := run(*name, *ip, *kubeconfig, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(name, ip, kubeconfig, dir string) error {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return fmt.Errorf("read the node's address: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := config.Default()
	cfg.DataDir, cfg.Node.Name, cfg.Node.IPs = dir, name, []netip.Addr{address}
	return network.New(cfg, network.Inputs{Kubeconfig: kubeconfig, OwnNode: kubeconfig, NFTables: true}).Run(ctx)
}
