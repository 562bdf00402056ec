package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kelp-project/kelp/pkg/upgrade"
)

// Resource is that of Upgrades.
var Resource = schema.GroupVersionResource{Group: "kelp.io", Version: "v1", Resource: "upgrades"}

const kind = "Upgrade"

// The phases of an Upgrade.
const (
	Pending = "Pending" // another one is under way
	Running = "Running"
	Paused  = "Paused"
	Done    = "Done"
	Failed  = "Failed"
)

// The states of a node, beside Running, Done and Failed. One whose turn has not come has none.
const Draining = "Draining"

// Upgrade is what is wanted, and how far it is.
type Upgrade struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

// Spec is what is wanted.
type Spec struct {
	Version string `json:"version"`          // kelp's, as kelp --version says it
	URL     string `json:"url"`              // of a program, or of a directory as make dist makes it
	SHA256  string `json:"sha256,omitempty"` // of the program, for a URL that is one
	Cordon  bool   `json:"cordon,omitempty"` // no new pods come to a node while it is upgraded
	Drain   bool   `json:"drain,omitempty"`  // nor stay there those that may be evicted
	Paused  bool   `json:"paused,omitempty"` // no further node is begun
	Timeout string `json:"timeout,omitempty"`
}

// Status is how far it is.
type Status struct {
	Phase   string       `json:"phase,omitempty"`
	Message string       `json:"message,omitempty"`
	Nodes   []NodeStatus `json:"nodes,omitempty"`
}

// NodeStatus is how far a node is.
type NodeStatus struct {
	Name     string       `json:"name"`
	State    string       `json:"state,omitempty"`
	Version  string       `json:"version,omitempty"`
	Message  string       `json:"message,omitempty"`
	Started  *metav1.Time `json:"started,omitempty"`
	Ended    *metav1.Time `json:"ended,omitempty"`
	Cordoned bool         `json:"cordoned,omitempty"` // by the upgrade, which takes it back
}

// Finished says whether nothing comes of it any more.
func (u Upgrade) Finished() bool { return u.Status.Phase == Done || u.Status.Phase == Failed }

// timeout is how long a start may take.
func (u Upgrade) timeout() time.Duration {
	if d, err := time.ParseDuration(u.Spec.Timeout); err == nil && d > 0 {
		return d
	}
	return upgrade.DefaultTimeout
}

// node is the entry of a node.
func (s Status) node(name string) NodeStatus {
	if i := slices.IndexFunc(s.Nodes, func(n NodeStatus) bool { return n.Name == name }); i >= 0 {
		return s.Nodes[i]
	}
	return NodeStatus{Name: name}
}

// parse reads an object.
func parse(o *unstructured.Unstructured) (u Upgrade, err error) {
	text, err := o.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err != nil {
		return u, fmt.Errorf("read the upgrade %s: %w", o.GetName(), err)
	}
	return u, nil
}

// object is the other way.
func (u Upgrade) object() (*unstructured.Unstructured, error) {
	text, err := json.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("encode the upgrade %s: %w", u.Name, err)
	}
	o := &unstructured.Unstructured{}
	content := map[string]any{}
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("encode the upgrade %s: %w", u.Name, err)
	}
	o.SetUnstructuredContent(content)
	o.SetGroupVersionKind(Resource.GroupVersion().WithKind(kind))
	return o, nil
}

// list returns all Upgrades, the oldest first.
func list(ctx context.Context, client dynamic.Interface) (all []Upgrade, version string, err error) {
	found, err := client.Resource(Resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", fmt.Errorf("list upgrades: %w", err)
	}
	for i := range found.Items {
		u, err := parse(&found.Items[i])
		if err != nil {
			return nil, "", err
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Upgrade) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, found.GetResourceVersion(), nil
}

// active is the one whose turn it is.
func active(all []Upgrade) (Upgrade, bool) {
	i := slices.IndexFunc(all, func(u Upgrade) bool { return !u.Finished() })
	if i < 0 {
		return Upgrade{}, false
	}
	return all[i], true
}
