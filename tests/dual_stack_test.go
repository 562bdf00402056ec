//go:build e2e

package tests

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

const dualStack = `
network:
  clusterCIDRs: [10.42.0.0/16, "fd42::/48"]
  serviceCIDRs: [10.43.0.0/16, "fd43::/112"]
`

// With ranges of both families, pods and Services have and use addresses of
// both.
func TestDualStack(t *testing.T) {
	s := ownServer(t, specNamed("dual"), "")
	s.write(t, "/etc/kelp/config.yaml", dualStack+fmt.Sprintf("node: {ips: [%s, %q]}\n", s.Address, s.Address6))
	s.start(t)
	manifest := strings.Replace(fmt.Sprintf(appManifest, "both", "LoadBalancer", 8088), "  type: LoadBalancer\n", "  type: LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n", 1)
	s.apply(t, manifest)
	pod := s.awaitPod(t, "both", "app=web", podUp)
	if len(pod.Status.PodIPs) != 2 {
		t.Fatalf("the pod has addresses %v, want two", pod.Status.PodIPs)
	}
	for _, ip := range pod.Status.PodIPs {
		awaitPage(t, soon, s.Dial, "http://"+net.JoinHostPort(ip.IP, "8080")+"/")
	}
	clusterIPs := strings.Fields(s.kubectl(t, "-n", "both", "get", "service", "web", "-o", "jsonpath={.spec.clusterIPs[*]}"))
	if len(clusterIPs) != 2 {
		t.Fatalf("the service has cluster addresses %v, want two", clusterIPs)
	}
	for _, ip := range append(clusterIPs, s.Address, s.Address6) {
		awaitPage(t, soon, s.Dial, "http://"+net.JoinHostPort(ip, "8088")+"/")
	}
	for _, ip := range []string{s.Address, s.Address6} {
		awaitPage(t, soon, lab.lab.Dial, "http://"+net.JoinHostPort(ip, "8088")+"/")
	}
	s.awaitDeployments(t, "kube-system", 3, ready)
	hosts.Eventually(t, soon, "the name has addresses of both families", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "-n", "both", "exec", pod.Name, "--", "nslookup", "web.both.svc.cluster.local")
		for _, ip := range clusterIPs {
			if err == nil && !strings.Contains(out, ip) {
				return fmt.Errorf("no %s in %s", ip, out)
			}
		}
		return err
	})
}
