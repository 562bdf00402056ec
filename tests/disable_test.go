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
	s.write(t, "/etc/kelp/config.yaml", "components: {disable: [metrics-server]}\n")
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

	s.write(t, "/etc/kelp/config.yaml", "")
	s.stopKelp(t)
	s.start(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
}
