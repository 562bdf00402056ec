package network

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/log"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
)

// resync is how often rules are set again. Somebody else's `nft flush
// ruleset` then costs pods a minute at most, and nft 10 ms of CPU per minute.
const resync = time.Minute

// traffic sets the rules that let pods' packets through and give them the
// node's address outside of the cluster.
type traffic struct {
	manager trafficmngr.TrafficManager
	conf    *subnet.Config
	node    Node
	nft     bool
	beside  bool // rules for another firewall have been set
}

func newTraffic(in Inputs, conf *subnet.Config, node Node) *traffic {
	t := &traffic{conf: conf, node: node, nft: in.NFTables, manager: &iptables.IPTablesManager{}}
	if in.NFTables {
		t.manager = &nftables.NFTablesManager{}
	}
	return t
}

// ensure sets the rules; called again it changes nothing that is in place.
// With iptables, flannel itself sets them again until ctx ends.
func (t *traffic) ensure(ctx context.Context) error {
	if err := t.manager.Init(ctx); err != nil {
		return fmt.Errorf("prepare packet rules: %w", err)
	}
	err := t.manager.SetupAndEnsureMasqRules(ctx,
		t.conf.Network, ip.IP4Net{}, ip.IP4Net{},
		t.conf.IPv6Network, ip.IP6Net{}, ip.IP6Net{},
		leaseOf(t.node), int(resync.Seconds()), false)
	if err != nil {
		return fmt.Errorf("set masquerading rules: %w", err)
	}
	t.manager.SetupAndEnsureForwardRules(ctx, t.conf.Network, t.conf.IPv6Network, int(resync.Seconds()))
	t.alongside(ctx)
	return nil
}

// keep calls ensure every resync until ctx ends.
func (t *traffic) keep(ctx context.Context) {
	if !t.nft {
		return
	}
	tick := time.NewTicker(resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.ensure(ctx); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).Warn("packet rules could not be renewed")
			}
		}
	}
}
