package config

import "net/netip"

func hostWith(v4, v6 string) Host {
	h := Host{Name: "Host-1"}
	if v4 != "" {
		h.IPv4 = netip.MustParseAddr(v4)
	}
	if v6 != "" {
		h.IPv6 = netip.MustParseAddr(v6)
	}
	return h
}
