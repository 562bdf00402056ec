package snapshots

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

var resource = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "snapshots"}

const (
	manager = "kelp-snapshots"
	// nodeLabel tells which server's an object is.
	nodeLabel = "kelp.io/node"
	pageSize  = 500
)

// cluster is the API as snapshots are shown in it.
type cluster struct {
	dynamic dynamic.Interface
	kube    kubernetes.Interface
	node    string
}

// show makes the objects of this server what its list of snapshots is.
func (c *cluster) show(ctx context.Context, list []Entry) error {
	there, err := c.objects(ctx)
	if err != nil {
		return err
	}
	for _, e := range list {
		name := objectName(e.Name)
		if o := there[name]; o == nil || !shows(o, e) {
			if err := c.apply(ctx, e); err != nil {
				return err
			}
		}
		delete(there, name)
	}
	for name := range there {
		if err := c.dynamic.Resource(resource).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the object of a snapshot that is gone: %w", err)
		}
	}
	return nil
}

// objects are those of this server, by name.
func (c *cluster) objects(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	found := map[string]*unstructured.Unstructured{}
	opts := metav1.ListOptions{LabelSelector: nodeLabel + "=" + c.node, Limit: pageSize}
	for {
		list, err := c.dynamic.Resource(resource).List(ctx, opts)
		if err != nil {
			return nil, fmt.Errorf("list the objects of snapshots: %w", err)
		}
		for i := range list.Items {
			found[list.Items[i].GetName()] = &list.Items[i]
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return found, nil
		}
	}
}

// objectName is the file's without what it ends with.
func objectName(file string) string {
	return strings.TrimSuffix(strings.TrimSuffix(file, ".zst"), extension)
}

func stateOf(e Entry) string {
	if e.Problem != "" {
		return "Failed"
	}
	return "Good"
}

func shows(o *unstructured.Unstructured, e Entry) bool {
	get := func(path ...string) string {
		v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
		return fmt.Sprint(v)
	}
	return get("status", "state") == stateOf(e) && get("status", "message") == e.Problem &&
		get("status", "verified") == stamp(e.Verified) && get("status", "uploaded") == e.Uploaded && get("spec", "location") == e.Location
}

func stamp(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0) // a field of this type cannot be empty
	}
	return t.UTC().Format(time.RFC3339)
}

func (c *cluster) apply(ctx context.Context, e Entry) error {
	content := func() map[string]any {
		return map[string]any{
			"apiVersion": resource.GroupVersion().String(), "kind": "Snapshot",
			"metadata": map[string]any{"name": objectName(e.Name), "labels": map[string]any{nodeLabel: c.node}},
		}
	}
	object, status := content(), content()
	object["spec"] = map[string]any{"node": e.Node, "location": e.Location, "reason": e.Reason, "pinned": e.Pinned, "created": stamp(e.Created)}
	status["status"] = map[string]any{
		"state": stateOf(e), "message": e.Problem, "size": e.Size, "revision": e.Revision, "keys": int64(e.Summary.Keys),
		"sha256": e.SHA256, "verified": stamp(e.Verified), "uploaded": e.Uploaded,
	}
	opts := metav1.ApplyOptions{FieldManager: manager, Force: true}
	r := c.dynamic.Resource(resource)
	if _, err := r.Apply(ctx, objectName(e.Name), &unstructured.Unstructured{Object: object}, opts); err != nil {
		return fmt.Errorf("show snapshot %s: %w", e.Name, err)
	}
	if _, err := r.ApplyStatus(ctx, objectName(e.Name), &unstructured.Unstructured{Object: status}, opts); err != nil {
		return fmt.Errorf("show snapshot %s: %w", e.Name, err)
	}
	return nil
}

// event tells of a snapshot that was made or was not, as an event of the node.
func (c *cluster) event(ctx context.Context, kind, reason, message string) error {
	now := metav1.Now()
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: c.node + ".", Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: c.node},
		Type:           kind, Reason: reason, Message: message[:min(len(message), 1000)], Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: manager, Host: c.node}, ReportingController: "kelp.io/snapshots",
	}
	if _, err := c.kube.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, e, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("write event of a snapshot: %w", err)
	}
	return nil
}
