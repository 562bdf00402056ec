package snapshots

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kelp-project/kelp/pkg/config"
)

// A scheduled snapshot that fails is an event of the node, makes the component not
// ready, and is counted; the next good one ends that.
func TestAFailureIsToldAndEndsWithTheNextGoodOne(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Node.Name, cfg.Snapshots.Dir = "one", t.TempDir()
	k, c := NewKeeper(cfg, ""), fakeCluster("one", "gone")
	kube := fake.NewClientset()
	kube.PrependReactor("create", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
		e := a.(clienttesting.CreateAction).GetObject().(*corev1.Event)
		e.Name = strings.ToLower(e.Reason) // the fake makes none of its own
		return false, nil, nil
	})
	c.kube = kube
	for _, failure := range []error{errors.New("no space left on device"), nil} {
		k.save = func(_ context.Context, _ config.Config, r Request) (Entry, error) {
			if r.Reason != Scheduled || r.Name != cfg.Snapshots.Name || r.Dir != k.dir || r.Pinned {
				t.Errorf("it asks for %+v", r)
			}
			return made("kelp-one-1", Scheduled, "one", 0), failure
		}
		if err := k.once(t.Context(), c); !errors.Is(err, failure) {
			t.Errorf("got %v, want %v", err, failure)
		}
		if err := k.Ready(t.Context()); !errors.Is(err, failure) {
			t.Errorf("the component's error is %v, want %v", err, failure)
		}
		if got := k.Counts(); got.Failed != 1 || got.Failing != (failure != nil) {
			t.Errorf("counted %+v", got)
		}
	}
	events, err := c.kube.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]corev1.Event{}
	for _, e := range events.Items {
		told[e.Reason] = e
	}
	if e := told["SnapshotFailed"]; e.Type != corev1.EventTypeWarning || !strings.Contains(e.Message, "no space left") || e.InvolvedObject.Name != "one" {
		t.Errorf("of the failure it tells %+v", e)
	}
	if e := told["SnapshotMade"]; e.Type != corev1.EventTypeNormal {
		t.Errorf("of the good one it tells %+v", e)
	}
}
