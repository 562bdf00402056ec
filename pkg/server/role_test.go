package server

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/join"
)

// A node gets its role once: a restart, or a value that somebody else gave,
// makes no write.
func TestLabel(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}})
	if err := label(t.Context(), client, "two"); err == nil {
		t.Error("a node that is not there was labelled")
	}
	for range 2 {
		if err := label(t.Context(), client, "one"); err != nil {
			t.Fatal(err)
		}
	}
	writes := 0
	for _, a := range client.Actions() {
		if a.GetVerb() == "patch" {
			writes++
		}
	}
	node, err := client.CoreV1().Nodes().Get(t.Context(), "one", metav1.GetOptions{})
	if role, has := node.Labels[join.ControlPlane]; err != nil || !has || role != "" || writes != 1 {
		t.Errorf("labels %v after %d writes, %v", node.Labels, writes, err)
	}
}
