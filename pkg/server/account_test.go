package server

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// A start says what it waits for while no pod can be created, goes on as soon
// as one can, and does not wait for a controller that never comes.
func TestWaitsForTheDefaultServiceAccount(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	start := func(limit time.Duration) *account {
		a := &account{limit: limit, connect: func() (kubernetes.Interface, error) { return client, nil }}
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		go func() { ended <- a.Run(ctx) }()
		return a
	}
	ready := func(a *account) error { return poll.Until(t.Context(), 10*time.Second, a.Ready) }

	patient, hasty := start(time.Hour), start(time.Millisecond)
	if err := ready(hasty); err != nil {
		t.Errorf("still waiting after the limit: %v", err)
	}
	reason := func(context.Context) error {
		if err := patient.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "service account") {
			return err
		}
		return nil
	}
	if err := poll.Until(t.Context(), 10*time.Second, reason); err != nil || patient.Ready(t.Context()) == nil {
		t.Errorf("does not say what is missing: %v", err)
	}
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "default"}}
	if err := client.Tracker().Add(made); err != nil {
		t.Fatal(err)
	}
	if err := ready(patient); err != nil {
		t.Errorf("pods are not taken with a service account: %v", err)
	}
}
