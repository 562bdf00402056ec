package snapshots

import (
	"encoding/json"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/testing"
)

// fakeCluster is an API in memory, with an object of a snapshot that is gone, and
// one of another server.
func fakeCluster(node, gone string) *cluster {
	object := func(name, node string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kelp.io/v1", "kind": "Snapshot",
			"metadata": map[string]any{"name": name, "labels": map[string]any{nodeLabel: node}},
		}}
	}
	kinds := map[schema.GroupVersionResource]string{resource: "SnapshotList"}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, object(gone, node), object("theirs", "two"))
	client.PrependReactor("patch", "snapshots", apply(client.Tracker()))
	return &cluster{node: node, dynamic: client}
}

// apply is server-side apply as far as it is needed here: the fake has none.
func apply(tracker testing.ObjectTracker) testing.ReactionFunc {
	return func(action testing.Action) (bool, runtime.Object, error) {
		patch := action.(testing.PatchAction)
		var o unstructured.Unstructured
		if err := json.Unmarshal(patch.GetPatch(), &o.Object); err != nil {
			return true, nil, err
		}
		there, err := tracker.Get(resource, "", patch.GetName())
		if err != nil {
			return true, &o, tracker.Create(resource, &o, "")
		}
		whole := there.(*unstructured.Unstructured).DeepCopy()
		maps.Copy(whole.Object, o.Object)
		return true, whole, tracker.Update(resource, whole, "")
	}
}

func nested(o *unstructured.Unstructured, path ...string) (string, bool, error) {
	return unstructured.NestedString(o.Object, path...)
}
