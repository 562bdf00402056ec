package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/knftables"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/latest"
	"github.com/kelp-project/kelp/pkg/internal/nodewatch"
)

const (
	// settle is the least time between two replacements of the table: changes
	// come in bursts.
	settle = 100 * time.Millisecond
	// recheck is when a failure is tried again.
	recheck = time.Second
	// resync is how often the table is written although nothing has changed:
	// somebody may have flushed it.
	resync = time.Minute
)

// Inputs is what is given by the role.
type Inputs struct {
	// Kubeconfig is how the network's identity reaches the API server.
	Kubeconfig string
	// Socket is where containerd takes NRI plugins.
	Socket string
	// First waits for what is more urgent. New pods are held back meanwhile.
	First func(context.Context)
}

// Enforcer keeps this node's rules.
type Enforcer struct {
	cfg      config.Config
	in       Inputs
	nft      knftables.Interface
	policies networkinglisters.NetworkPolicyLister
	kick     chan struct{}
	wanted   atomic.Uint64         // counts what has changed
	done     *latest.Value[uint64] // what wanted was for the rules in place
	last     string                // the transaction of the rules in place

	mu      sync.Mutex
	waiting map[string]Pod // pods that the API does not know to be here yet, by sandbox
	others  *watched       // nil without policies
}

// New returns an enforcer that does nothing yet.
func New(cfg config.Config, in Inputs) *Enforcer {
	return &Enforcer{cfg: cfg, in: in, kick: make(chan struct{}, 1), done: latest.New[uint64](), waiting: map[string]Pod{}}
}

// ErrNotSynced is returned by Ready until the rules have been made once.
var ErrNotSynced = errors.New("policies have not been listed yet")

// Ready is nil once the rules have been made.
func (e *Enforcer) Ready(context.Context) error {
	if _, ok, _ := e.done.Peek(); !ok {
		return ErrNotSynced
	}
	return nil
}

// Remove takes the rules away, for a node whose policies are not enforced any
// more.
func Remove(ctx context.Context) error {
	nft, err := knftables.New(knftables.InetFamily, tableName)
	if err != nil {
		return fmt.Errorf("use nft: %w", err)
	}
	tx := nft.NewTransaction()
	remove(tx)
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("remove the rules of network policies: %w", err)
	}
	return nil
}

// Run keeps the rules until ctx ends. They stay.
func (e *Enforcer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var gate sync.WaitGroup
	defer gate.Wait()
	defer cancel()
	gate.Go(func() { e.gate(ctx) })
	return e.enforce(ctx)
}

func (e *Enforcer) enforce(ctx context.Context) (err error) {
	e.in.First(ctx)
	e.last = "" // whoever has switched them off has taken the rules away
	if e.nft, err = knftables.New(knftables.InetFamily, tableName); err != nil {
		return fmt.Errorf("use nft: %w", err)
	}
	if err := nodewatch.Allowed(ctx, e.in.Kubeconfig, "/apis/networking.k8s.io/v1/networkpolicies?limit=1"); err != nil {
		return unlessStopped(ctx, err)
	}
	rest, err := clientcmd.BuildConfigFromFlags("", e.in.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.UserAgent = "kelp-policy"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	policies := factory.Networking().V1().NetworkPolicies()
	e.policies = policies.Lister()
	if _, err := policies.Informer().AddEventHandler(e.onChange(nil)); err != nil {
		return fmt.Errorf("watch network policies: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	defer e.unwatch()
	e.changed()
	e.loop(ctx, client)
	return nil
}

func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// changed has the rules computed anew, and returns what done will be then.
func (e *Enforcer) changed() uint64 {
	n := e.wanted.Add(1)
	select {
	case e.kick <- struct{}{}:
	default:
	}
	return n
}

func (e *Enforcer) loop(ctx context.Context, client kubernetes.Interface) {
	again := time.NewTicker(resync)
	defer again.Stop()
	for ctx.Err() == nil {
		force := false
		select {
		case <-ctx.Done():
			return
		case <-e.kick:
		case <-again.C:
			force = true
		}
		n, pause := e.wanted.Load(), settle
		if err := e.sync(ctx, client, force); err == nil {
			e.done.Set(n)
		} else if ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", recheck).Error("network policies are not enforced as they should be")
			pause = recheck
			e.changed()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// sync computes the rules, and writes them if they are not those in place.
func (e *Enforcer) sync(ctx context.Context, client kubernetes.Interface, force bool) error {
	policies, err := e.policies.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list network policies: %w", err)
	}
	tx := e.nft.NewTransaction()
	if len(policies) == 0 {
		e.unwatch()
		remove(tx)
	} else {
		w, err := e.world(ctx, client, policies)
		if err != nil {
			return err
		}
		compile(w).replace(tx)
	}
	text := tx.String()
	if text == e.last && (!force || len(policies) == 0) {
		return nil
	}
	if err := e.nft.Run(ctx, tx); err != nil {
		e.last = ""
		return fmt.Errorf("write rules: %w", err)
	}
	e.last = text
	return nil
}

// world collects what the rules are computed from. Pods and namespaces are
// watched as long as there is a policy: most of the work is in that.
func (e *Enforcer) world(ctx context.Context, client kubernetes.Interface, policies []*networkingv1.NetworkPolicy) (World, error) {
	if e.others == nil {
		others, err := watch(ctx, client, e)
		if err != nil {
			return World{}, err
		}
		e.mu.Lock()
		e.others = others
		e.mu.Unlock()
	}
	w := World{Policies: policies, Namespaces: e.others.namespaceLabels(), Pods: e.others.podsOf(e.cfg.Node.Name)}
	w.Pods = e.withWaiting(w.Pods)
	return w, nil
}

func (e *Enforcer) unwatch() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.others != nil {
		e.others.stop()
		e.others = nil
	}
	clear(e.waiting)
}
