package kubelet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// knowsPods says whether the kubelet has been told of the pods that are on
// the node: after a restart, exec and logs find them only then. It asks the
// socket that the kubelet has for monitoring agents.
func (k *Kubelet) knowsPods(ctx context.Context, client kubernetes.Interface) error {
	if k.informed.Load() {
		return nil
	}
	here := fields.Set{"spec.nodeName": k.cfg.Node.Name, "status.phase": string(corev1.PodRunning)}.String()
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: here, Limit: 1})
	if err != nil {
		return fmt.Errorf("list the node's pods: %w", err)
	}
	if len(pods.Items) > 0 {
		known, err := k.podCount(ctx)
		if err != nil {
			return err
		}
		if known == 0 {
			return errors.New("the kubelet does not know the node's pods yet")
		}
	}
	k.informed.Store(true)
	return nil
}

func (k *Kubelet) podCount(ctx context.Context) (int, error) {
	socket := filepath.Join(k.cfg.Paths().KubeletRoot, "pod-resources", "kubelet.sock")
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, fmt.Errorf("connect to the kubelet's %s: %w", socket, err)
	}
	defer conn.Close()
	known, err := podresources.NewPodResourcesListerClient(conn).List(ctx, &podresources.ListPodResourcesRequest{})
	if err != nil {
		return 0, fmt.Errorf("ask the kubelet for its pods: %w", err)
	}
	return len(known.GetPodResources()), nil
}
