package config

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var addrs = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func prefixesOf(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestComplete(t *testing.T) {
	t.Parallel()
	dual := func(c *Config) {
		c.Network.ClusterCIDRs = prefixesOf("10.42.0.0/16", "fd00:42::/56")
		c.Network.ServiceCIDRs = prefixesOf("10.43.0.0/16", "fd00:43::/112")
	}
	for _, tc := range []struct {
		name    string
		set     func(c *Config)
		host    Host
		ips     []string
		bind    string
		public  string
		dns     []string
		missing string
	}{
		{name: "nothing set", host: hostWith("192.0.2.10", "2001:db8::10"), ips: []string{"192.0.2.10"}, bind: "0.0.0.0", public: "192.0.2.10", dns: []string{"10.43.0.10"}},
		{name: "dual stack", set: dual, host: hostWith("192.0.2.10", "2001:db8::10"), ips: []string{"192.0.2.10", "2001:db8::10"}, bind: "::", public: "192.0.2.10", dns: []string{"10.43.0.10", "fd00:43::a"}},
		{name: "dual stack, IPv4 host", set: dual, host: hostWith("192.0.2.10", ""), ips: []string{"192.0.2.10"}, bind: "0.0.0.0", public: "192.0.2.10", dns: []string{"10.43.0.10", "fd00:43::a"}, missing: "IPv6"},
		{name: "no address at all", host: hostWith("", ""), bind: "0.0.0.0", dns: []string{"10.43.0.10"}, missing: "IPv4"},
		{name: "no address, one set", set: func(c *Config) { c.Node.IPs = []netip.Addr{netip.MustParseAddr("198.51.100.1")} }, host: hostWith("", ""), ips: []string{"198.51.100.1"}, bind: "0.0.0.0", public: "198.51.100.1", dns: []string{"10.43.0.10"}},
		{name: "bind to one", set: func(c *Config) { c.API.BindAddress = netip.MustParseAddr("198.51.100.2") }, host: hostWith("192.0.2.10", ""), ips: []string{"192.0.2.10"}, bind: "198.51.100.2", public: "198.51.100.2", dns: []string{"10.43.0.10"}},
		{name: "bind to loopback", set: func(c *Config) { c.API.BindAddress = netip.MustParseAddr("127.0.0.1") }, host: hostWith("192.0.2.10", ""), ips: []string{"192.0.2.10"}, bind: "127.0.0.1", public: "192.0.2.10", dns: []string{"10.43.0.10"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := Default()
			if tc.set != nil {
				tc.set(&cfg)
			}
			got, err := cfg.Complete(tc.host)
			var missing *MissingAddressError
			if errors.As(err, &missing) != (tc.missing != "") || (missing != nil && missing.Family != tc.missing) {
				t.Errorf("error %v, want missing %q", err, tc.missing)
			}
			text := func(list []netip.Addr) (texts []string) {
				for _, a := range list {
					texts = append(texts, a.String())
				}
				return texts
			}
			if diff := cmp.Diff(tc.ips, text(got.Node.IPs)); diff != "" {
				t.Errorf("node IPs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.dns, text(got.Network.ClusterDNS)); diff != "" {
				t.Errorf("cluster DNS (-want +got):\n%s", diff)
			}
			if got.Node.Name != "host-1" || got.API.BindAddress.String() != tc.bind {
				t.Errorf("name %s, bind %s; want host-1, %s", got.Node.Name, got.API.BindAddress, tc.bind)
			}
			if public := got.API.AdvertiseAddress; public.IsValid() != (tc.public != "") || tc.public != "" && public.String() != tc.public {
				t.Errorf("advertise %s, want %s", public, tc.public)
			}
		})
	}
}

// TestCompleteKeeps checks that Complete changes nothing that is set, and that
// completing twice is completing once.
func TestCompleteKeeps(t *testing.T) {
	t.Parallel()
	once, err := Default().Complete(hostWith("192.0.2.10", ""))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := once.Complete(Host{Name: "other", IPv4: netip.MustParseAddr("198.51.100.9")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(once, twice, addrs); diff != "" {
		t.Errorf("the second Complete changed (-once +twice):\n%s", diff)
	}
}

// TestHostOf reads the machine that runs the test.
func TestHostOf(t *testing.T) {
	t.Parallel()
	h, err := HostOf()
	if err != nil {
		t.Fatal(err)
	}
	if h.Name == "" {
		t.Error("no host name")
	}
	if h.IPv4.IsValid() && (!h.IPv4.Is4() || !h.IPv4.IsGlobalUnicast()) {
		t.Errorf("IPv4 %s is not a global IPv4 address", h.IPv4)
	}
	if h.IPv6.IsValid() && (!h.IPv6.Is6() || !h.IPv6.IsGlobalUnicast()) {
		t.Errorf("IPv6 %s is not a global IPv6 address", h.IPv6)
	}
}
