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

// Kubelets are the addresses of a node's kubelet, those that are surely its own.
func (s *Server) Kubelets(node string) []netip.AddrPort {
	lister := s.nodes.Load()
	if lister == nil {
		return nil
	}
	n, err := (*lister).Get(node)
	if err != nil {
		return nil
	}
	var found []netip.AddrPort
	for _, a := range n.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		if port := n.Status.DaemonEndpoints.KubeletEndpoint.Port; err == nil && a.Type == corev1.NodeInternalIP && port > 0 && s.NodeOf(ip) == node {
			found = append(found, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	return found
}

// Gateways are this server's addresses on the bridge of its pods: the first ones
// of its ranges.
func (s *Server) Gateways() []netip.Addr {
	lister := s.nodes.Load()
	if lister == nil {
		return nil
	}
	n, err := (*lister).Get(s.cfg.Node.Name)
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, text := range n.Spec.PodCIDRs {
		if r, err := netip.ParsePrefix(text); err == nil {
			found = append(found, r.Masked().Addr().Next())
		}
	}
	return found
}
