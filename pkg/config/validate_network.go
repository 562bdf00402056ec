package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

func (k *checker) network() {
	n := k.cfg.Network
	const pods, services = "network.clusterCIDRs", "network.serviceCIDRs"
	oneEach := k.families(pods, n.ClusterCIDRs)
	oneEach = k.families(services, n.ServiceCIDRs) && oneEach
	if c, s := familiesOf(n.ClusterCIDRs), familiesOf(n.ServiceCIDRs); oneEach && c != s {
		k.between(services, pods,
			fmt.Sprintf("is %s, but %s is %s", s, pods, c), fmt.Sprintf("is %s, but %s is %s", c, services, s),
			"give both the same families in the same order")
	}
	k.overlaps()
	for _, p := range n.ClusterCIDRs {
		k.nodeMask(p)
	}
	for _, p := range n.ServiceCIDRs {
		if p.Addr().BitLen()-p.Bits() < 4 {
			k.addf("network.serviceCIDRs", "%s is too small; it needs at least 16 addresses (/%d)", p, p.Addr().BitLen()-4)
		}
	}
	k.dns()
	k.domain()
	k.nodePorts()
	if name := n.Interface; len(name) > 15 || strings.ContainsAny(name, " /:\t\n") {
		k.addf("network.interface", "%q cannot be the name of an interface", name)
	}
}

// families checks one list of ranges, and tells whether it has one or two,
// of different families.
func (k *checker) families(path string, cidrs []netip.Prefix) bool {
	oneEach := len(cidrs) > 0
	if !oneEach {
		k.addf(path, "is empty; give at least one range")
	}
	for i, p := range cidrs {
		for _, other := range cidrs[:i] {
			if p.Addr().Is6() == other.Addr().Is6() {
				k.addf(path, "%s and %s are both %s; give at most one range per family", other, p, family(p.Addr()))
				oneEach = false
			}
		}
		if a := p.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
			k.addf(path, "%s is not a range that can be routed between nodes", p)
		}
	}
	return oneEach
}

func familiesOf(cidrs []netip.Prefix) string {
	var list []string
	for _, p := range cidrs {
		list = append(list, family(p.Addr()))
	}
	return strings.Join(list, ", ")
}

// overlaps checks pods' ranges against Services', and both against the
// addresses of this node.
func (k *checker) overlaps() {
	const pods, services = "network.clusterCIDRs", "network.serviceCIDRs"
	n := k.cfg.Network
	for _, p := range n.ClusterCIDRs {
		for _, s := range n.ServiceCIDRs {
			if p.Overlaps(s) {
				k.between(pods, services, fmt.Sprintf("%s overlaps %s %s", p, services, s), fmt.Sprintf("%s overlaps %s %s", s, pods, p), "choose another range")
			}
		}
	}
	k.holds(pods, n.ClusterCIDRs)
	k.holds(services, n.ServiceCIDRs)
}

// holds refuses ranges that hold an address of this node.
func (k *checker) holds(path string, cidrs []netip.Prefix) {
	check := func(at string, a netip.Addr) {
		for _, p := range cidrs {
			if p.Contains(a) {
				k.between(path, at, fmt.Sprintf("%s holds %s %s", p, at, a), fmt.Sprintf("%s is inside %s %s", a, path, p), "choose another range")
			}
		}
	}
	for _, a := range k.cfg.Node.IPs {
		check("node.ips", a)
	}
	for _, a := range k.cfg.Node.ExternalIPs {
		check("node.externalIPs", a)
	}
	if a := k.cfg.API.AdvertiseAddress; !slices.Contains(k.cfg.Node.IPs, a) && !slices.Contains(k.cfg.Node.ExternalIPs, a) {
		check("api.advertiseAddress", a)
	}
}

// nodeMask checks that a range of pods can be cut into nodes' ranges, which
// the controller-manager does with /24 and /64 unless its arguments differ.
func (k *checker) nodeMask(p netip.Prefix) {
	mask, by := 24, "node-cidr-mask-size-ipv4"
	if p.Addr().Is6() {
		mask, by = 64, "node-cidr-mask-size-ipv6"
	}
	for _, arg := range k.cfg.Args.ControllerManager {
		name, value, _ := strings.Cut(arg, "=")
		if name != by && name != "node-cidr-mask-size" {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return // the controller-manager's own parser says what is wrong
		}
		mask = n
	}
	const path = "network.clusterCIDRs"
	switch {
	case p.Bits() > mask:
		k.addf(path, "%s is too small: each node takes a /%d of it; choose at most /%d, or set %s in args.controllerManager", p, mask, mask, by)
	case p.Addr().Is6() && mask-p.Bits() > 16: // clusterSubnetMaxDiff of the controller-manager
		k.addf(path, "%s is too large: nodes take a /%d each, and Kubernetes keeps account of 65536 nodes at most; choose /%d or smaller", p, mask, mask-16)
	}
}

func (k *checker) dns() {
	n := k.cfg.Network
	const path = "network.clusterDNS"
	for i, a := range n.ClusterDNS {
		inside := false
		for _, p := range n.ServiceCIDRs {
			inside = inside || p.Contains(a)
			switch {
			case p.Contains(a) && a == p.Addr():
				k.addf(path, "%s is the first address of %s, which no Service may have", a, p)
			case p.Contains(a) && a == p.Addr().Next() && p == n.ServiceCIDRs[0]:
				k.addf(path, "%s is the API's own address in %s; choose another, such as the tenth", a, p)
			}
		}
		if !inside && len(n.ServiceCIDRs) > 0 {
			k.addf(path, "%s is not inside network.serviceCIDRs %s (%s)", a, prefixes(n.ServiceCIDRs), k.origins["network.serviceCIDRs"])
		}
		for _, other := range n.ClusterDNS[:i] {
			if other.Is6() == a.Is6() {
				k.addf(path, "%s and %s are both %s; give at most one address per family", other, a, family(a))
			}
		}
	}
}

func (k *checker) domain() {
	d := k.cfg.Network.ClusterDomain
	if problems := validation.IsDNS1123Subdomain(d); len(problems) > 0 {
		k.addf("network.clusterDomain", "%q is not a DNS domain such as cluster.local: %s", d, short(problems[0]))
	}
}

func (k *checker) nodePorts() {
	r, port := k.cfg.Network.ServiceNodePortRange, k.cfg.API.HTTPSPort
	if r.First <= port && port <= r.Last {
		k.addf("network.serviceNodePortRange", "%s holds the API's own port %d (%s)", r, port, k.origins["api.httpsPort"])
	}
	for _, p := range reservedPorts {
		if r.First <= p && p <= r.Last {
			k.addf("network.serviceNodePortRange", "%s holds port %d, which Kubernetes itself uses", r, p)
			return // one is enough to say
		}
	}
}

func prefixes(cidrs []netip.Prefix) string {
	var list []string
	for _, p := range cidrs {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

// short cuts the examples and regular expressions off a message of
// apimachinery's.
func short(message string) string {
	text, _, _ := strings.Cut(message, " (e.g.")
	return text
}
