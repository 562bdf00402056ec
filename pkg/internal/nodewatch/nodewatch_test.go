package nodewatch

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

func lister(client *fake.Clientset) cache.ListerWatcher {
	nodes := client.CoreV1().Nodes()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return nodes.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return nodes.Watch(ctx, o)
		},
	}, client)
}

func hasCIDR(n *corev1.Node) bool { return n.Spec.PodCIDR != "" }

func TestUntilReturnsWhenTheNodeIsAsAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	seen := make(chan struct{}, 10)
	got := make(chan *corev1.Node, 1)
	go func() {
		node, err := until(ctx, lister(client), "a", func(n *corev1.Node) bool {
			seen <- struct{}{}
			return hasCIDR(n)
		})
		if err == nil {
			got <- node
		}
		close(got)
	}()
	<-seen // without a CIDR it goes on waiting
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{PodCIDR: "10.42.0.0/24"}}
	if _, err := client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n == nil || n.Spec.PodCIDR != "10.42.0.0/24" {
		t.Fatalf("got %v", n)
	}
}

func TestUntilEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := until(ctx, lister(fake.NewClientset()), "a", hasCIDR); err == nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("got %v", err)
	}
}
