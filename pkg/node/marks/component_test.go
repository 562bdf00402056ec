package marks

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestMark(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "7", Labels: map[string]string{"a": "1"}}})
	for _, want := range []Marks{{Labels: []string{"a=1"}}, {Labels: []string{"b=2"}, Taints: []string{"k=v:NoExecute"}}, {Labels: []string{"c=3"}}} {
		if err := mark(t.Context(), client, "n", want); err != nil {
			t.Fatal(err)
		}
	}
	node, err := client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
	if err != nil || len(node.Labels) != 1 || node.Labels["c"] != "3" || len(node.Spec.Taints) != 0 {
		t.Errorf("labels %v, taints %v, %v", node.Labels, node.Spec.Taints, err)
	}
	if err := mark(t.Context(), client, "other", Marks{}); err == nil {
		t.Error("a node that is not there was marked")
	}
}
