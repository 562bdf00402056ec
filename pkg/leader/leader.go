package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/log"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// Options say for whom an election is.
type Options struct {
	// Identity is the node's name: one that starts again has the lease again at
	// once.
	Identity string
	Connect  func() (kubernetes.Interface, error)
	// Alone says whether no other server can be there. Nil stands for no.
	Alone func(context.Context) (bool, error)
}

// Leader takes part in the election. It is safe for concurrent use.
type Leader struct {
	opts    Options
	contend chan struct{} // closed when another server may come
	once    sync.Once     // closes it

	mu      sync.Mutex
	lead    context.Context // while this server leads
	stop    context.CancelFunc
	known   string        // who leads
	elected bool          // whether that was by the lease
	changed chan struct{} // closed when one of these changes
}

// New returns a candidate.
func New(opts Options) *Leader {
	return &Leader{opts: opts, contend: make(chan struct{}), changed: make(chan struct{})}
}

// Run takes part until ctx ends. Losing the lease is no error.
func (l *Leader) Run(ctx context.Context) error {
	client, err := l.opts.Connect()
	if err != nil {
		return err
	}
	defer l.lost()
	if err := l.leadAlone(ctx, client); err != nil {
		return nil // told to stop
	}
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem},
				Client:    client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: l.opts.Identity},
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

// leadAlone leads without a lease where no other server has ever been let in,
// until one may be: a lease would be a write every three seconds for nothing.
// It returns an error when ctx ends.
func (l *Leader) leadAlone(ctx context.Context, client kubernetes.Interface) error {
	alone := false
	err := poll.Forever(ctx, func(ctx context.Context) (err error) {
		alone, err = l.alone(ctx, client)
		return err
	})
	if err != nil || !alone {
		return err
	}
	l.won(ctx)
	l.mu.Lock()
	l.known = l.opts.Identity
	l.wake()
	l.mu.Unlock()
	select {
	case <-l.contend:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone says whether there is neither a lease nor another server. A lease is
// there before a second server is let in, and stays.
func (l *Leader) alone(ctx context.Context, client kubernetes.Interface) (bool, error) {
	// The namespace is made by the API server, a moment after its start.
	if _, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{}); err != nil {
		return false, err
	}
	if l.opts.Alone == nil {
		return false, nil
	}
	_, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return false, err
	}
	return l.opts.Alone(ctx)
}

// Contend has the lease decide who leads from now on, and returns when it has
// decided. It is called before another server is let in.
func (l *Leader) Contend(ctx context.Context) error {
	l.once.Do(func() { close(l.contend) })
	for {
		l.mu.Lock()
		elected, changed := l.elected, l.changed
		l.mu.Unlock()
		if elected {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the election: %w", ctx.Err())
		case <-changed:
		}
	}
}

// won has this server lead until the lease ends, which may be before it is told
// of here. Who led alone goes on, without a pause.
func (l *Leader) won(lease context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lead == nil && lease.Err() == nil {
		l.lead, l.stop = context.WithCancel(lease)
	}
	l.wake()
}

func (l *Leader) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lead != nil {
		l.stop()
		l.lead, l.stop = nil, nil
	}
	l.wake()
}

func (l *Leader) saw(ctx context.Context, identity string) {
	log.G(ctx).WithField("node", identity).Info("a server leads")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.elected = identity, true
	l.wake()
}

func (l *Leader) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Leads says whether this server leads now.
func (l *Leader) Leads() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lead != nil && l.lead.Err() == nil
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

// leading returns a context that lasts while this server leads, when it does.
func (l *Leader) leading(ctx context.Context) (context.Context, error) {
	for {
		l.mu.Lock()
		lead, changed := l.lead, l.changed
		l.mu.Unlock()
		if lead != nil && lead.Err() == nil {
			return lead, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Only makes of a component's methods such that run while this server leads.
// Elsewhere the component is ready, and does nothing.
func (l *Leader) Only(run, ready func(context.Context) error) (only, well func(context.Context) error) {
	only = func(ctx context.Context) error {
		for {
			lead, err := l.leading(ctx)
			if err != nil {
				return nil // told to stop
			}
			inner, stop := context.WithCancel(ctx)
			detach := context.AfterFunc(lead, stop)
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
		mine := l.lead != nil
		l.mu.Unlock()
		if !mine {
			return nil
		}
		return ready(ctx)
	}
}
