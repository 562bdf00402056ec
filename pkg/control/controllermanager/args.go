package controllermanager

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/internal/flags"
	"github.com/kelp-project/kelp/pkg/pki"
)

var identity = flags.Identity{Client: pki.ControllerManager, Serving: pki.ControllerManagerServing, Port: 10257}

// Args returns kube-controller-manager's arguments, without the user's. It
// is a pure function.
func Args(cfg config.Config, p config.Paths) *args.Set {
	s := args.NewSet("kube-controller-manager")
	flags.ClientArgs(s, cfg, p, identity)
	private, _ := pki.ServiceAccountFiles(p)
	client, server := pki.SigningFiles(p, pki.ClientCA), pki.SigningFiles(p, pki.ServerCA)
	const own = "its authorities are kelp's: see kelp certificate"
	for signer, ca := range map[string]pki.Files{
		"kube-apiserver-client": client, "kubelet-client": client,
		"kubelet-serving": server, "legacy-unknown": server,
	} {
		s.Owned("cluster-signing-"+signer+"-cert-file", ca.Cert, own)
		s.Owned("cluster-signing-"+signer+"-key-file", ca.Key, own)
	}
	for _, name := range []string{"cluster-signing-cert-file", "cluster-signing-key-file"} {
		s.Refused(name, own)
	}
	s.Owned("root-ca-file", pki.AuthorityFiles(p, pki.ServerCA).Cert, own)
	s.Owned("service-account-private-key-file", private, own)
	if cfg.Network.Backend == config.BackendNone {
		s.Default("allocate-node-cidrs", "true") // many networks of others use the node's range too
	} else {
		s.Owned("allocate-node-cidrs", "true", "set network.backend to none to bring your own network")
	}
	for _, prefix := range cfg.Network.ClusterCIDRs {
		if key, bits, change := nodeMask(prefix); change {
			s.Config(key, strconv.Itoa(bits))
		}
	}
	s.Owned("cluster-cidr", join(cfg.Network.ClusterCIDRs), "set network.clusterCIDRs instead")
	s.Owned("service-cluster-ip-range", join(cfg.Network.ServiceCIDRs), "set network.serviceCIDRs instead")
	s.Owned("use-service-account-credentials", "true", "each controller has the rights that it needs, and no more")
	s.Default("configure-cloud-routes", "false")
	// Upstream's 20 and 30 protect an API that is far away from many
	// clients. At start each of forty controllers asks for an identity, and
	// nothing is made of a Deployment before all have theirs: that took 5 s.
	// The API's own priority and fairness protects it as well.
	s.Default("kube-api-qps", "200")
	s.Default("kube-api-burst", "400")
	s.Append("controllers", "*", "tokencleaner")
	if EarlyIPAM(cfg) {
		s.Append("controllers", "-node-ipam-controller")
	}
	for name, r := range removed {
		s.Removed(name, r.Release, r.Successor)
	}
	return s
}

// nodeMask is the size of one node's share of a range. Upstream's 24 and 64
// end the process when the range is smaller, or more than 16 bits larger.
func nodeMask(prefix netip.Prefix) (key string, bits int, change bool) {
	key, usual := "node-cidr-mask-size-ipv4", 24
	if prefix.Addr().Is6() {
		key, usual = "node-cidr-mask-size-ipv6", 64
	}
	bits = min(max(usual, prefix.Bits()), prefix.Bits()+16)
	return key, bits, bits != usual
}

func join(list []netip.Prefix) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return strings.Join(out, ",")
}
