//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/hosts"
)

// Disabling a packaged component removes what it had deployed, for good, and
// enabling it brings it back.
func TestDisableAPackagedComponent(t *testing.T) {
	s := ownServer(t, specNamed("disable"), "")
	s.start(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	s.apply(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: any, namespace: default}, spec: {podSelector: {}}}`)
	s.awaitPolicyTable(t, true)
	s.write(t, "/etc/kelp/config.yaml", "components: {disable: [metrics-server, network-policy]}\n")
	s.stopKelp(t)
	s.start(t)
	hosts.Eventually(t, podUp, "metrics-server is gone", func(ctx context.Context) error {
		out, err := s.Kubectl(ctx, "get", "deployments,services,serviceaccounts,apiservices,configmaps", "-A", "-o", "name")
		if err == nil && strings.Contains(out, "metrics") {
			return fmt.Errorf("still there:\n%s", out)
		}
		return err
	})
	s.awaitDeployments(t, "kube-system", 2, ready) // the others are untouched
	s.awaitPolicyTable(t, false)

	s.write(t, "/etc/kelp/config.yaml", "")
	s.stopKelp(t)
	s.start(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	s.awaitPolicyTable(t, true)
}

// awaitPolicyTable waits until the rules of network policies are there, or gone.
func (s *server) awaitPolicyTable(t *testing.T, wanted bool) {
	t.Helper()
	// A namespace with pods in it may have to go first.
	hosts.Eventually(t, podUp, fmt.Sprintf("the rules of network policies are there: %v", wanted), func(ctx context.Context) error {
		out, err := s.Run(ctx, "nft", "list", "tables")
		if err == nil && strings.Contains(out, "kelp_policy") != wanted {
			return fmt.Errorf("there are %s", out)
		}
		return err
	})
}
