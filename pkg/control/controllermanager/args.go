package controllermanager

import (
	"net/netip"
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
	client, server := pki.AuthorityFiles(p, pki.ClientCA), pki.AuthorityFiles(p, pki.ServerCA)
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
	s.Owned("root-ca-file", server.Cert, own)
	s.Owned("service-account-private-key-file", private, own)
	s.Owned("allocate-node-cidrs", "true", "set network.backend to none to bring your own network")
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
	for name, r := range removed {
		s.Removed(name, r.Release, r.Successor)
	}
	return s
}

func join(list []netip.Prefix) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return strings.Join(out, ",")
}
