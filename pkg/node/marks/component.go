package marks

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// Keeper keeps a node's labels and taints.
type Keeper struct {
	name       string
	kubeconfig string
	want       *latest.Value[Marks]
}

// New returns a keeper for this machine's node. The kubeconfig is of an identity
// that may patch it.
func New(cfg config.Config, kubeconfig string) *Keeper {
	return &Keeper{name: cfg.Node.Name, kubeconfig: kubeconfig, want: latest.Of(of(cfg))}
}

func of(cfg config.Config) Marks { return Marks{cfg.Node.Labels, cfg.Node.Taints} }

// Apply has the node get the labels and taints of another configuration. It does
// not wait for that.
func (k *Keeper) Apply(_ context.Context, cfg config.Config) error {
	k.want.Set(of(cfg))
	return nil
}

// Run makes the node what is wanted, now and after each Apply, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	rest, err := clientcmd.BuildConfigFromFlags("", k.kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-marks"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	for {
		want, _, changed := k.want.Peek()
		err := poll.Forever(ctx, func(ctx context.Context) error { return mark(ctx, client, k.name, want) })
		if err != nil {
			return nil // told to stop
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// mark makes the node what is wanted.
func mark(ctx context.Context, client kubernetes.Interface, name string, want Marks) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	next, differs := decide(node, want)
	if !differs {
		return nil
	}
	before, err := json.Marshal(node)
	if err != nil {
		return fmt.Errorf("encode node: %w", err)
	}
	after, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode node: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return fmt.Errorf("compare node: %w", err)
	}
	// Taints are one list: it must be the one that was read.
	if patch, err = withVersion(patch, node.ResourceVersion); err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "kelp"})
	switch {
	case apierrors.IsInvalid(err):
		// Trying again would not help; the next change of the configuration may.
		log.G(ctx).WithError(err).Error("the API refuses the node's labels and taints")
		return nil
	case err != nil:
		return fmt.Errorf("change labels and taints of node %s: %w", name, err)
	}
	if _, known := node.Annotations[annotation]; known {
		log.G(ctx).WithField("labels", want.Labels).WithField("taints", want.Taints).Info("changed the node's labels and taints")
	}
	return nil
}

func withVersion(patch []byte, version string) ([]byte, error) {
	fields := map[string]any{}
	if err := json.Unmarshal(patch, &fields); err != nil {
		return nil, fmt.Errorf("compare node: %w", err)
	}
	metadata, ok := fields["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
		fields["metadata"] = metadata
	}
	metadata["resourceVersion"] = version
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode change of the node: %w", err)
	}
	return text, nil
}
