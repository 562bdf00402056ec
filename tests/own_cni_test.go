//go:build e2e

package tests

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

const ownConflist = `{"cniVersion":"1.0.0","name":"mine","plugins":[
{"type":"bridge","bridge":"mine0","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.99.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}`

// Without a network of kelp's the node says what is missing, and is Ready
// as soon as the user's CNI configuration is there.
func TestBringYourOwnCNI(t *testing.T) {
	s := ownServer(t, specNamed("cni"), "network: {backend: none}\n")
	s.run(t, "systemctl start --no-block kelp")
	hosts.Eventually(t, podUp, "the node says that it waits for a network", func(ctx context.Context) error {
		if _, err := s.Run(ctx, "test", "-e", kubeconfig); err != nil {
			return err
		}
		nodes, err := s.client(t).CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil || len(nodes.Items) != 1 {
			return fmt.Errorf("list nodes: %w", err)
		}
		if err := nodeReady(&nodes.Items[0]); err == nil || !containsFold(err.Error(), "cni") {
			return fmt.Errorf("the node's condition does not name CNI: %w", err)
		}
		return nil
	})
	s.awaitDiagnosis(t, soon, "problem", "nodes: cni is not ready: its kubelet says so", "the network of pods is not there", "with --network=none: install your CNI plugin")
	if links := s.run(t, "ip -o link"); containsFold(links, "flannel") || containsFold(links, "cni0") {
		t.Errorf("kelp made interfaces without being asked:\n%s", links)
	}
	s.write(t, "/etc/cni/net.d/10-mine.conflist", ownConflist)
	hosts.Eventually(t, podUp, "the node is Ready", func(context.Context) error { return nodeReady(s.node(t)) })
	s.apply(t, fmt.Sprintf(appManifest, "mine", "ClusterIP", 8088))
	pod := s.awaitPod(t, "mine", "app=web", podUp)
	awaitPage(t, soon, s.Dial, "http://"+pod.Status.PodIP+":8080/")
}
