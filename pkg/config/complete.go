package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MissingAddressError says that the machine has no address of a family that
// the cluster uses.
type MissingAddressError struct{ Family string }

// Error names the family.
func (e *MissingAddressError) Error() string {
	return "node.ips: this machine has no " + e.Family + " address that others can reach"
}

// Hint says what to do.
func (e *MissingAddressError) Hint() string {
	return "give the machine one, or name one with --node-ip"
}

// Complete fills in what is not set and depends on the machine: the node's
// name and addresses, the addresses to bind and to advertise, and the
// cluster's DNS addresses. It returns as much as it could fill in together
// with an error about what is missing.
func (c Config) Complete(h Host) (Config, error) {
	if c.Node.Name == "" {
		c.Node.Name = h.Name
	}
	c.Node.Name = strings.ToLower(strings.TrimSpace(c.Node.Name))
	if c.Node.Name == "" {
		return c, fmt.Errorf("node.name: this machine has no name; set one with hostnamectl or --node-name")
	}
	if c.Datastore.Kind == DatastoreAuto && c.Datastore.Endpoint != "" {
		c.Datastore.Kind = DatastoreExternal
	}
	c.Network.ClusterDNS = c.clusterDNS()
	var err error
	if len(c.Node.IPs) == 0 {
		c.Node.IPs, err = c.nodeIPs(h)
	}
	if !c.API.BindAddress.IsValid() {
		c.API.BindAddress = netip.IPv4Unspecified()
		if slices.ContainsFunc(c.Node.IPs, netip.Addr.Is6) {
			c.API.BindAddress = netip.IPv6Unspecified() // takes IPv4, too
		}
	}
	if !c.API.AdvertiseAddress.IsValid() {
		switch bind := c.API.BindAddress; {
		case !bind.IsUnspecified() && !bind.IsLoopback():
			c.API.AdvertiseAddress = bind
		case len(c.Node.IPs) > 0:
			c.API.AdvertiseAddress = c.Node.IPs[0]
		}
	}
	return c, err
}

// nodeIPs are the host's addresses in the families of the pods' ranges, in
// the same order: the first family is the cluster's primary one.
func (c Config) nodeIPs(h Host) (ips []netip.Addr, err error) {
	for _, p := range c.Network.ClusterCIDRs {
		a, family := h.IPv4, "IPv4"
		if p.Addr().Is6() {
			a, family = h.IPv6, "IPv6"
		}
		switch {
		case slices.Contains(ips, a): // two ranges of a family: Validate's business
		case a.IsValid():
			ips = append(ips, a)
		case err == nil:
			err = &MissingAddressError{Family: family}
		}
	}
	return ips, err
}

// clusterDNS is what is set, or the tenth address of each service range.
func (c Config) clusterDNS() []netip.Addr {
	if len(c.Network.ClusterDNS) > 0 {
		return c.Network.ClusterDNS
	}
	var dns []netip.Addr
	for _, p := range c.Network.ServiceCIDRs {
		a := p.Addr()
		for range 10 {
			a = a.Next()
		}
		if p.Contains(a) { // else Validate refuses the range as too small
			dns = append(dns, a)
		}
	}
	return dns
}
