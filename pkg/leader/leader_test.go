package leader

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// candidate runs an election until the test stops it.
func candidate(t *testing.T, client kubernetes.Interface, name string, alone bool) (l *Leader, stop func()) {
	t.Helper()
	l = New(Options{
		Identity: name,
		Connect:  func() (kubernetes.Interface, error) { return client, nil },
		Alone:    func(context.Context) (bool, error) { return alone, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return l, stop
}

// What must run once runs on one of two servers, and on the other when the
// first stops.
func TestOneOfTwo(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}})
	var running, most atomic.Int32
	work := func(ctx context.Context) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-ctx.Done()
		return nil
	}
	first, stopFirst := candidate(t, client, "one", false)
	if err := poll.Until(t.Context(), 20*time.Second, first.Ready); err != nil {
		t.Fatal(err)
	}
	second, _ := candidate(t, client, "two", false)
	for _, l := range []*Leader{first, second} {
		only, _ := l.Only(work, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- only(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	await := func(what string, l *Leader) {
		t.Helper()
		if err := poll.Until(t.Context(), 30*time.Second, func(context.Context) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.lead == nil || running.Load() != 1 {
				return errors.New(what)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	await("the first does not lead", first)
	if err := poll.Until(t.Context(), 20*time.Second, second.Ready); err != nil {
		t.Fatalf("the second does not see who leads: %v", err)
	}
	stopFirst()
	await("the second does not lead", second)
	if most.Load() != 1 {
		t.Errorf("%d ran at the same time", most.Load())
	}
}

// A single server leads without a lease, takes it before another one is let in,
// and lets what runs go on meanwhile; from then on it never leads without.
func TestAlone(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}})
	holder := func() string {
		lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return "nobody"
		}
		return *lease.Spec.HolderIdentity
	}
	first, stopFirst := candidate(t, client, "one", true)
	running := make(chan context.Context, 10)
	only, _ := first.Only(func(ctx context.Context) error {
		running <- ctx
		<-ctx.Done()
		return nil
	}, nil)
	ended := make(chan error, 1)
	go func() { ended <- only(t.Context()) }()
	var work context.Context
	select {
	case work = <-running:
	case <-time.After(20 * time.Second):
		t.Fatal("a server alone does not lead")
	}
	if err := first.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if h := holder(); h != "nobody" {
		t.Errorf("a server alone has let %s have the lease", h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 { // the second time there is nothing to wait for
		if err := first.Contend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if h := holder(); h != "one" {
		t.Errorf("the lease is that of %s", h)
	}
	if work.Err() != nil {
		t.Error("what ran was stopped")
	}
	stopFirst()
	<-work.Done()
	second, _ := candidate(t, client, "two", false)
	if err := second.Contend(ctx); err != nil {
		t.Fatal(err)
	}
	again, _ := candidate(t, client, "one", true)
	if err := again.Contend(ctx); err != nil {
		t.Fatal(err)
	}
	again.mu.Lock()
	defer again.mu.Unlock()
	if h := holder(); h != "two" || again.lead != nil {
		t.Errorf("%s has the lease, and a server that started again leads: %t", h, again.lead != nil)
	}
}

// A component that ends by itself ends the process, lease or not; and one that
// does not run here is ready.
func TestOnly(t *testing.T) {
	t.Parallel()
	l := New(Options{Identity: "one"})
	broken := errors.New("broken")
	only, well := l.Only(func(context.Context) error { return broken }, func(context.Context) error { return broken })
	if err := well(t.Context()); err != nil {
		t.Errorf("what runs elsewhere is not ready here: %v", err)
	}
	lease, lose := context.WithCancel(t.Context())
	l.won(lease)
	if err := well(t.Context()); !errors.Is(err, broken) {
		t.Errorf("what runs here is not asked: %v", err)
	}
	if err := only(t.Context()); !errors.Is(err, broken) {
		t.Errorf("a component that failed: %v", err)
	}
	runs := make(chan struct{}, 2)
	only, _ = l.Only(func(ctx context.Context) error {
		runs <- struct{}{}
		<-ctx.Done()
		return errors.New("not cleanly")
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- only(ctx) }()
	<-runs
	lose()
	l.lost()
	l.won(t.Context())
	<-runs
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a stop: %v", err)
	}
}
