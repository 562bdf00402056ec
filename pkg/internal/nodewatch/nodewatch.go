package nodewatch

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

// Until returns the Node of that name once enough says so, reaching the API
// server with the kubeconfig. Only the end of ctx ends it otherwise: a Node
// that does not exist, and a server that does not answer, are waited for.
func Until(ctx context.Context, kubeconfig, name string, enough func(*corev1.Node) bool) (*corev1.Node, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("connect with %s: %w", kubeconfig, err)
	}
	nodes := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", "", fields.OneTermEqualSelector("metadata.name", name))
	return until(ctx, nodes, name, enough)
}

func until(ctx context.Context, nodes cache.ListerWatcher, name string, enough func(*corev1.Node) bool) (*corev1.Node, error) {
	var found *corev1.Node
	_, err := watchtools.UntilWithSync(ctx, nodes, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		if !ok || event.Type == watch.Deleted || !enough(node) {
			return false, nil
		}
		found = node
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for node %s: %w", name, err)
	}
	return found, nil
}
