package join

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// NodeOf returns the node that an address is one of, itself or one of its pods'.
// It is "" for everything else, and where two nodes claim an address: a node
// that lies about its own must not get what is meant for another.
func (s *Server) NodeOf(address netip.Addr) string {
	lister := s.nodes.Load()
	if lister == nil {
		return ""
	}
	all, err := (*lister).List(labels.Everything())
	if err != nil {
		return ""
	}
	found := ""
	for _, n := range all {
		if !belongs(address.Unmap(), n) {
			continue
		}
		if found != "" {
			return ""
		}
		found = n.Name
	}
	return found
}

func belongs(address netip.Addr, n *corev1.Node) bool {
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP && ip == address {
			return true
		}
	}
	for _, text := range n.Spec.PodCIDRs {
		if r, err := netip.ParsePrefix(text); err == nil && r.Contains(address) {
			return true
		}
	}
	return false
}
