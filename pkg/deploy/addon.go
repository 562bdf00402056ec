package deploy

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// State is what became of a file.
type State string

// The states of an Addon.
const (
	Applying State = "Applying" // its objects are noted, and may not have been made
	Applied  State = "Applied"
	Failed   State = "Failed"
	Skipped  State = "Skipped"
)

// Addon is a file and what became of it.
type Addon struct {
	Name    string
	File    string
	State   State
	Hash    string
	Message string
	Applied time.Time
	Objects []Ref // all that the file has made and not yet pruned
}

// same tells whether writing a would change nothing in b that a person could
// want to know; the time is not such a thing.
func (a Addon) same(b Addon) bool {
	if a.State != b.State || a.Hash != b.Hash || a.Message != b.Message || len(a.Objects) != len(b.Objects) {
		return false
	}
	for i := range a.Objects {
		if a.Objects[i] != b.Objects[i] {
			return false
		}
	}
	return true
}

// object renders an Addon for the API: the main resource or its status.
func (a Addon) object(status bool) *unstructured.Unstructured {
	content := map[string]any{
		"apiVersion": addonResource.GroupVersion().String(),
		"kind":       "Addon",
		"metadata":   map[string]any{"name": a.Name, "namespace": addonNamespace},
	}
	if !status {
		content["spec"] = map[string]any{"file": a.File}
		return &unstructured.Unstructured{Object: content}
	}
	objects := make([]any, len(a.Objects))
	for i, r := range a.Objects {
		objects[i] = map[string]any{"version": r.Version, "kind": r.Kind, "name": r.Name, "group": r.Group, "namespace": r.Namespace}
	}
	content["status"] = map[string]any{
		"state": string(a.State), "hash": a.Hash, "message": a.Message,
		"applied": a.Applied.UTC().Format(time.RFC3339), "count": int64(len(objects)), "objects": objects,
	}
	return &unstructured.Unstructured{Object: content}
}

func addonOf(o *unstructured.Unstructured) (Addon, error) {
	var content struct {
		Spec struct {
			File string `json:"file"`
		} `json:"spec"`
		Status struct {
			State   State       `json:"state"`
			Hash    string      `json:"hash"`
			Message string      `json:"message"`
			Applied metav1.Time `json:"applied"`
			Objects []Ref       `json:"objects"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &content); err != nil {
		return Addon{}, fmt.Errorf("read addon %s: %w", o.GetName(), err)
	}
	st := content.Status
	return Addon{Name: o.GetName(), File: content.Spec.File, State: st.State, Hash: st.Hash, Message: st.Message, Applied: st.Applied.Time, Objects: st.Objects}, nil
}

// event tells about a file what happened to it.
func (c *cluster) event(ctx context.Context, a Addon, uid types.UID, reason, message string) error {
	kind := corev1.EventTypeNormal
	if a.State == Failed {
		kind = corev1.EventTypeWarning
	}
	now := metav1.Now()
	e := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: a.Name + ".", Namespace: addonNamespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: addonResource.GroupVersion().String(), Kind: "Addon", Name: a.Name, Namespace: addonNamespace, UID: uid,
		},
		Type: kind, Reason: reason, Message: message[:min(len(message), 1000)], Count: 1,
		FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kelp-deploy"}, ReportingController: "kelp.io/deploy",
	}
	if _, err := c.kube.CoreV1().Events(addonNamespace).Create(ctx, e, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("write event of addon %s: %w", a.Name, err)
	}
	return nil
}
