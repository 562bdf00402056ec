package rollout

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// annotation is where a node says on its Node why the upgrade of itself has failed.
const annotation = "kelp.io/upgrade-failed"

// report is what stands there.
type report struct {
	Upgrade types.UID `json:"upgrade"` // that it is about
	Message string    `json:"message"`
}

// failureOf is what a node says of an Upgrade.
func failureOf(n *corev1.Node, of types.UID) string {
	var r report
	if json.Unmarshal([]byte(n.Annotations[annotation]), &r) != nil || r.Upgrade != of {
		return "" // of another one, or somebody else's writing
	}
	return r.Message
}

// tell writes it.
func tell(ctx context.Context, client kubernetes.Interface, node string, r report) error {
	const longest = 1000 // it is read in a table
	if len(r.Message) > longest {
		r.Message = r.Message[:longest] + "…"
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode why the upgrade has failed: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotation: string(text)}}})
	if err != nil {
		return fmt.Errorf("encode why the upgrade has failed: %w", err)
	}
	if _, err := client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kelp"}); err != nil {
		return fmt.Errorf("say on node %s why the upgrade has failed: %w", node, err)
	}
	return nil
}
