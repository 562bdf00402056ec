//go:build e2e

package tests

import (
	"context"
	"fmt"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

const balanced = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: ports}
spec:
  type: LoadBalancer
  selector: {app: none}
  ports: [{port: %d}]
`

// awaitIngress waits until a Service of the namespace ports has an address as
// its load balancer, or none when address is empty.
func (s *server) awaitIngress(t *testing.T, name, address string) {
	t.Helper()
	hosts.Eventually(t, soon, fmt.Sprintf("service %s has load balancer %q", name, address), func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "-n", "ports", "get", "service", name, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
		if err == nil && out != address {
			return fmt.Errorf("it has %q", out)
		}
		return err
	})
}

func (s *server) awaitEvent(t *testing.T, namespace, object, substring string) {
	t.Helper()
	hosts.Eventually(t, soon, fmt.Sprintf("an event of %s speaks of %q", object, substring), func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "-n", namespace, "get", "events", "--field-selector=involvedObject.name="+object, "-o", `jsonpath={range .items[*]}{.type} {.reason}: {.message}{"\n"}{end}`)
		if err == nil && !containsFold(out, substring) {
			return fmt.Errorf("events: %q", out)
		}
		return err
	})
}

// The second Service with the same port waits, says why and for whom, and
// gets the address when the first goes. A port of the host's own is refused.
func TestLoadBalancerPortIsTaken(t *testing.T) {
	s := cluster(t)
	s.namespace(t, "ports")
	s.apply(t, fmt.Sprintf(balanced, "first", 9099))
	s.awaitIngress(t, "first", s.Address)
	s.apply(t, fmt.Sprintf(balanced, "second", 9099))
	s.awaitEvent(t, "ports", "second", "9099")
	s.awaitEvent(t, "ports", "second", "ports/first")
	s.awaitIngress(t, "second", "")
	s.kubectl(t, "-n", "ports", "delete", "service", "first")
	s.awaitIngress(t, "second", s.Address)

	s.apply(t, fmt.Sprintf(balanced, "api", 6443))
	s.awaitEvent(t, "ports", "api", "6443")
	s.awaitIngress(t, "api", "")
	s.kubectl(t, "get", "nodes") // the API's own port was not diverted

	s.kubectl(t, "-n", "ports", "patch", "service", "second", "-p", `{"spec":{"type":"ClusterIP"}}`)
	s.awaitIngress(t, "second", "")
}
