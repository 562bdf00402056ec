package network

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

// podCIDRs waits until the node has been given its ranges.
func podCIDRs(ctx context.Context, kubeconfig, name string) ([]netip.Prefix, error) {
	node, err := nodewatch.Until(ctx, kubeconfig, name, func(n *corev1.Node) bool { return len(n.Spec.PodCIDRs) > 0 })
	if err != nil {
		return nil, fmt.Errorf("learn the pod CIDR: %w", err)
	}
	out := make([]netip.Prefix, len(node.Spec.PodCIDRs))
	for i, text := range node.Spec.PodCIDRs {
		if out[i], err = netip.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("read pod CIDR of node %s: %w", name, err)
		}
	}
	return out, nil
}
