package server

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/pki"
)

// controlPlaneLabel is what kubectl shows as the node's role, and what
// manifests select servers by. A kubelet may not set it itself.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// labelNode marks this machine's node as one with a control plane, and returns
// when pods can be made on it.
func labelNode(ctx context.Context, cfg config.Config) error {
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	_ = poll.Forever(ctx, func(ctx context.Context) error { return label(ctx, client, cfg.Node.Name) }) // ends only when told to stop
	err = poll.Until(ctx, accountLimit, func(ctx context.Context) error { return takesPods(ctx, client) })
	if err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Warn("pods cannot be made in the default namespace yet")
	}
	return nil
}

// accountLimit is how long a start waits for the default service account: a
// user may have switched off the controller that makes it.
const accountLimit = 2 * time.Minute

// takesPods is nil when a pod can be created: the API refuses it without the
// account, and the node may be ready before that is there.
func takesPods(ctx context.Context, client kubernetes.Interface) error {
	if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("read the default service account: %w", err)
	}
	return nil
}

func label(ctx context.Context, client kubernetes.Interface, name string) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	if _, labelled := node.Labels[controlPlaneLabel]; labelled {
		return nil
	}
	patch := []byte(`{"metadata":{"labels":{"` + controlPlaneLabel + `":"true"}}}`)
	if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kelp"}); err != nil {
		return fmt.Errorf("label node: %w", err)
	}
	return nil
}
