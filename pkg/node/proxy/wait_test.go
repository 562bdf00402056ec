package proxy

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// kube-proxy ends the process when the addresses change that it began with.
func TestItWaitsForTheAddressesThatStay(t *testing.T) {
	t.Parallel()
	v4, v6, old := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("192.0.2.9")
	for name, c := range map[string]struct {
		own, node []netip.Addr
		want      bool
	}{
		"not set yet":           {[]netip.Addr{v4}, nil, false},
		"its own":               {[]netip.Addr{v4}, []netip.Addr{v4}, true},
		"from before it moved":  {[]netip.Addr{v4}, []netip.Addr{old}, false},
		"a second one to come":  {[]netip.Addr{v4, v6}, []netip.Addr{v4}, false},
		"a second one to go":    {[]netip.Addr{v4}, []netip.Addr{v4, v6}, false},
		"both, the other first": {[]netip.Addr{v4, v6}, []netip.Addr{v6, v4}, true},
		"none is known":         {nil, nil, false},
	} {
		n := &corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node-1"}}}}
		for _, a := range c.node {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
		}
		if got := hasAddresses(c.own)(n); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
