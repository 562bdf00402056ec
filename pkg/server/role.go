package server

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
)

// labelNode marks this machine's node as one with a control plane.
func labelNode(ctx context.Context, cfg config.Config) error {
	client, err := kelpClient(cfg)
	if err != nil {
		return err
	}
	_ = poll.Forever(ctx, func(ctx context.Context) error { return label(ctx, client, cfg.Node.Name) }) // ends only when told to stop
	return nil
}

func kelpClient(cfg config.Config) (kubernetes.Interface, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.QPS = -1 // one request at a time; the API server's own limits are enough
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return client, nil
}

func label(ctx context.Context, client kubernetes.Interface, name string) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	if value, labelled := node.Labels[join.ControlPlane]; labelled && value != "true" { // kelp's own, once
		return nil
	}
	patch := []byte(`{"metadata":{"labels":{"` + join.ControlPlane + `":""}}}`)
	if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kelp"}); err != nil {
		return fmt.Errorf("label node: %w", err)
	}
	return nil
}
