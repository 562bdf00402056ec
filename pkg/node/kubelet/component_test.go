package kubelet

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

// TestReady asks a kubelet that began at ten o'clock.
func TestReady(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 10, 0, 0, 5e8, time.UTC)
	node := func(created time.Time, ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "node-1", CreationTimestamp: metav1.NewTime(created.Truncate(time.Second))},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, Message: "no network"}}},
		}
	}
	lease := func(renewed time.Time) *coordinationv1.Lease {
		at := metav1.NewMicroTime(renewed)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: "node-1", Namespace: corev1.NamespaceNodeLease},
			Spec:       coordinationv1.LeaseSpec{RenewTime: &at},
		}
	}
	yesterday := began.AddDate(0, 0, -1)
	for name, c := range map[string]struct {
		health  int
		objects []runtime.Object
		want    string
	}{
		"unhealthy":          {http.StatusInternalServerError, nil, "kubelet is not healthy"},
		"no node":            {http.StatusOK, nil, "read node"},
		"new, not ready":     {http.StatusOK, []runtime.Object{node(began, corev1.ConditionFalse)}, "node is not ready: no network"},
		"new, without lease": {http.StatusOK, []runtime.Object{node(began, corev1.ConditionTrue)}, ""},
		"ready of old":       {http.StatusOK, []runtime.Object{node(yesterday, corev1.ConditionTrue), lease(began.Add(-time.Minute))}, "has not renewed"},
		"ready again":        {http.StatusOK, []runtime.Object{node(yesterday, corev1.ConditionTrue), lease(began.Add(time.Second))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.health) }))
			defer srv.Close()
			k := New(single(), inputs())
			if err := k.Ready(t.Context()); err == nil {
				t.Error("ready before it has started")
			}
			address := strings.TrimPrefix(srv.URL, "http://")
			k.began, k.client = began, fake.NewClientset(c.objects...)
			k.listen.Store(&address)
			err := k.Ready(t.Context())
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
