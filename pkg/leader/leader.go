package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

// The pace: one write every three seconds in the whole cluster. What must run
// once rests for at most the duration after a server was lost, and has the time
// between deadline and duration to stop when it cannot renew.
const (
	duration = 15 * time.Second
	deadline = 10 * time.Second
	retry    = 3 * time.Second
)

// name is the lease's.
const name = "kelp"

// Leader takes part in the election. It is safe for concurrent use.
type Leader struct {
	identity string
	connect  func() (kubernetes.Interface, error)

	mu      sync.Mutex
	lease   context.Context // while this server has it
	known   string          // who has it
	changed chan struct{}   // closed when lease or known changes
}

// New returns a candidate with the name of its node, which has the lease again
// at once when it starts again.
func New(identity string, connect func() (kubernetes.Interface, error)) *Leader {
	return &Leader{identity: identity, connect: connect, changed: make(chan struct{})}
}

// Run takes part until ctx ends. Losing the lease is no error.
func (l *Leader) Run(ctx context.Context) error {
	client, err := l.connect()
	if err != nil {
		return err
	}
	// The namespace is made by the API server, a moment after its start.
	if err := poll.Forever(ctx, func(ctx context.Context) error {
		_, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		return err
	}); err != nil {
		return nil
	}
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem},
				Client:    client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity},
			},
			LeaseDuration: duration, RenewDeadline: deadline, RetryPeriod: retry, ReleaseOnCancel: true, Name: name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: l.won,
				OnStoppedLeading: l.lost,
				OnNewLeader:      func(identity string) { l.saw(ctx, identity) },
			},
		})
		if err != nil {
			return fmt.Errorf("take part in the election: %w", err)
		}
		elector.Run(ctx)
		if ctx.Err() == nil {
			log.G(ctx).Warn("the lease was lost; what must run once runs elsewhere until this server has it again")
		}
	}
	return nil
}

func (l *Leader) won(lease context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = lease
	l.wake()
}

func (l *Leader) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = nil
	l.wake()
}

func (l *Leader) saw(ctx context.Context, identity string) {
	log.G(ctx).WithField("node", identity).Info("a server leads")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = identity
	l.wake()
}

func (l *Leader) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Ready is nil when some server leads.
func (l *Leader) Ready(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == "" {
		return errors.New("no server leads yet")
	}
	return nil
}

// leading returns a context that ends with this server's lease, when it has
// one.
func (l *Leader) leading(ctx context.Context) (context.Context, error) {
	for {
		l.mu.Lock()
		lease, changed := l.lease, l.changed
		l.mu.Unlock()
		if lease != nil && lease.Err() == nil {
			return lease, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Only makes of a component's methods such that run while this server has the
// lease. Elsewhere the component is ready, and does nothing.
func (l *Leader) Only(run, ready func(context.Context) error) (only, well func(context.Context) error) {
	only = func(ctx context.Context) error {
		for {
			lease, err := l.leading(ctx)
			if err != nil {
				return nil // told to stop
			}
			inner, stop := context.WithCancel(ctx)
			detach := context.AfterFunc(lease, stop)
			err = run(inner)
			ended := inner.Err() != nil
			detach()
			stop()
			switch {
			case ctx.Err() != nil:
				return nil
			case !ended:
				return err // by itself, which no component may
			case err != nil:
				log.G(ctx).WithError(err).Warn("stopped with the lease, and not cleanly")
			}
		}
	}
	if ready == nil {
		return only, nil
	}
	return only, func(ctx context.Context) error {
		l.mu.Lock()
		mine := l.lease != nil
		l.mu.Unlock()
		if !mine {
			return nil
		}
		return ready(ctx)
	}
}
