//go:build e2e

package tests

import (
	"fmt"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// A host with no default route at all, and no name server, is a cluster once
// it is told its address.
func TestHostWithoutADefaultRoute(t *testing.T) {
	s := ownServer(t, hosts.Spec{Name: "noroute", NoRoute: true, IPv4Only: true}, "")
	s.write(t, "/etc/kelp/config.yaml", fmt.Sprintf("node: {ips: [%s]}\n", s.Address))
	s.start(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	s.apply(t, fmt.Sprintf(appManifest, "shop", "LoadBalancer", 8088))
	s.awaitDeployments(t, "shop", 1, podUp)
	awaitPage(t, soon, lab.lab.Dial, "http://"+s.Address+":8088/")
}
