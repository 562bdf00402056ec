package network

import (
	"context"
	"strings"

	"github.com/containerd/log"
	goiptables "github.com/coreos/go-iptables/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
)

// alongside lets pods' packets through a firewall made with iptables that
// drops what the host forwards, as Docker's does. An nftables rule that accepts
// a packet does not save it from another table: it takes a rule in that one.
// Once set, flannel sets it again until ctx ends.
func (t *traffic) alongside(ctx context.Context) {
	if t.beside || !t.nft {
		return
	}
	four := !t.conf.Network.Empty() && dropsForwarded(goiptables.ProtocolIPv4)
	six := !t.conf.IPv6Network.Empty() && dropsForwarded(goiptables.ProtocolIPv6)
	if !four && !six {
		return
	}
	t.beside = true
	log.G(ctx).Info("another firewall drops forwarded packets; pods' are let through")
	m := &iptables.IPTablesManager{}
	if err := m.Init(ctx); err != nil {
		log.G(ctx).WithError(err).Warn("pods' packets may be dropped by another firewall")
		return
	}
	m.SetupAndEnsureForwardRules(ctx, t.conf.Network, t.conf.IPv6Network, int(resync.Seconds()))
}

// dropsForwarded says whether packets that are forwarded and that no rule
// knows are dropped. Without an iptables program nobody has said so.
func dropsForwarded(proto goiptables.Protocol) bool {
	ipt, err := goiptables.NewWithProtocol(proto)
	if err != nil {
		return false
	}
	rules, err := ipt.List("filter", "FORWARD")
	if err != nil {
		return false
	}
	return len(rules) > 0 && strings.TrimSpace(rules[0]) == "-P FORWARD DROP"
}
