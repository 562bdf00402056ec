package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
)

// Host is what Complete needs to know of the machine.
type Host struct {
	Name string     // as the kernel has it
	IPv4 netip.Addr // of the default route, or the first global one; zero when there is none
	IPv6 netip.Addr // the same for IPv6
}

// HostOf reads the machine. An address family that the machine lacks is not
// an error here: Complete knows whether it is needed.
func HostOf() (Host, error) {
	name, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("read the host's name: %w", err)
	}
	h := Host{Name: name}
	h.IPv4 = addressOf(netlink.FAMILY_V4)
	h.IPv6 = addressOf(netlink.FAMILY_V6)
	return h, nil
}

// addressOf is the address from which packets leave by the default route, or
// the first global address of any interface.
func addressOf(family int) netip.Addr {
	if a := defaultRouteAddress(family); a.IsValid() {
		return a
	}
	addrs, err := netlink.AddrList(nil, family)
	if err != nil {
		return netip.Addr{}
	}
	return firstGlobal(addrs)
}

func defaultRouteAddress(family int) netip.Addr {
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil {
		return netip.Addr{}
	}
	best, bestMetric := netip.Addr{}, math.MaxInt
	for _, r := range routes {
		if r.Priority >= bestMetric {
			continue
		}
		if a := routeAddress(r, family); a.IsValid() {
			best, bestMetric = a, r.Priority
		}
	}
	return best
}

// routeAddress is the source address that the route names, or the first
// global one of its interface (of its first next hop's, if it has many).
func routeAddress(r netlink.Route, family int) netip.Addr {
	if a, ok := global(r.Src); ok {
		return a
	}
	index := r.LinkIndex
	if len(r.MultiPath) > 0 {
		index = r.MultiPath[0].LinkIndex
	}
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return netip.Addr{}
	}
	addrs, err := netlink.AddrList(link, family)
	if err != nil {
		return netip.Addr{}
	}
	return firstGlobal(addrs)
}

func firstGlobal(addrs []netlink.Addr) netip.Addr {
	for _, candidate := range addrs {
		// Addresses that time out (privacy extensions) must not name a node.
		if candidate.Flags&(ifaTemporary|ifaDeprecated|ifaTentative) != 0 || candidate.IPNet == nil {
			continue
		}
		if a, ok := global(candidate.IP); ok {
			return a
		}
	}
	return netip.Addr{}
}

// Flags of an address, from linux/if_addr.h.
const (
	ifaTemporary  = 0x01
	ifaDeprecated = 0x20
	ifaTentative  = 0x40
)

// global converts an address that other machines can reach.
func global(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	a = a.Unmap()
	return a, ok && a.IsGlobalUnicast()
}
