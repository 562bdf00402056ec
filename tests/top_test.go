//go:build e2e

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

// kubectl top shows figures for the node and for pods.
func TestTopNodeAndPod(t *testing.T) {
	s := cluster(t)
	s.awaitDeployments(t, "kube-system", 3, ready)
	// Metrics are read every 15 s, and a rate needs two readings.
	for _, args := range [][]string{{"top", "node", "--no-headers"}, {"top", "pod", "-n", "kube-system", "--no-headers"}} {
		hosts.Eventually(t, 75*time.Second, "kubectl "+strings.Join(args, " "), func(ctx context.Context) error {
			out, err := s.Kubectl(ctx, args...)
			if err != nil {
				return err
			}
			if fields := strings.Fields(out); len(fields) < 3 || !strings.HasSuffix(fields[1], "m") {
				return fmt.Errorf("printed %q", out)
			}
			return nil
		})
	}
}
