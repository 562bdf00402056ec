package servicelb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// settle gathers changes that come together: a node's becoming Ready, a
	// rollout's endpoints.
	settle = 100 * time.Millisecond
	// recheck is how often a Service that waits for a port is looked at
	// again: no event tells that a process has stopped listening.
	recheck = 10 * time.Second
)

// Inputs is what the controller needs beside kelp's configuration.
type Inputs struct {
	// Kubeconfig is of an identity that may write Services' status.
	Kubeconfig string
}

// Controller gives Services of type LoadBalancer the nodes' addresses.
type Controller struct {
	cfg    config.Config
	in     Inputs
	client kubernetes.Interface
	ready  atomic.Bool

	services corelisters.ServiceLister
	nodes    corelisters.NodeLister
	slices   discoverylisters.EndpointSliceLister
	told     map[types.UID]string // the conflict that each Service was last told of
}

// New returns a controller that is not yet running.
func New(cfg config.Config, in Inputs) *Controller {
	return &Controller{cfg: cfg, in: in, told: map[types.UID]string{}}
}

// ErrNotSynced is returned by Ready until the cluster has been looked at.
var ErrNotSynced = errors.New("services have not been listed yet")

// Ready is nil once Services, nodes and endpoints are known.
func (c *Controller) Ready(context.Context) error {
	if !c.ready.Load() {
		return ErrNotSynced
	}
	return nil
}

// Run keeps Services' status until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	rest, err := clientcmd.BuildConfigFromFlags("", c.in.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %s: %w", c.in.Kubeconfig, err)
	}
	rest.UserAgent = "kelp-servicelb"
	if c.client, err = kubernetes.NewForConfig(rest); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	changed := make(chan struct{}, 1)
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(strip))
	services, nodes, slices := factory.Core().V1().Services(), factory.Core().V1().Nodes(), factory.Discovery().V1().EndpointSlices()
	c.services, c.nodes, c.slices = services.Lister(), nodes.Lister(), slices.Lister()
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), nodes.Informer(), slices.Informer()} {
		if _, err := informer.AddEventHandler(notify(changed)); err != nil {
			return fmt.Errorf("watch for changes: %w", err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	c.ready.Store(true)
	c.loop(ctx, changed)
	return nil
}

// strip takes away what nobody here reads and what is most of an object.
func strip(o any) (any, error) {
	if accessor, err := meta.Accessor(o); err == nil {
		accessor.SetManagedFields(nil)
	}
	return o, nil
}

// notify wakes the loop; what has changed it finds out itself.
func notify(changed chan<- struct{}) cache.ResourceEventHandler {
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake() },
		UpdateFunc: func(any, any) { wake() },
		DeleteFunc: func(any) { wake() },
	}
}

func (c *Controller) loop(ctx context.Context, changed <-chan struct{}) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			again.Reset(settle)
			continue
		case <-again.C:
		}
		waiting, err := c.sync(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.G(ctx).WithError(err).WithField("next", recheck).Warn("services' addresses were not written")
			again.Reset(recheck)
		case waiting:
			again.Reset(recheck)
		}
	}
}

// sync decides and writes what is not so yet. It reports whether a Service
// waits for a port.
func (c *Controller) sync(ctx context.Context) (waiting bool, err error) {
	v, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	var problems []error
	for s, d := range decide(v) {
		waiting = waiting || d.conflict != ""
		if err := c.write(ctx, s, d); err != nil && !apierrors.IsNotFound(err) {
			problems = append(problems, err)
		}
	}
	return waiting, errors.Join(problems...)
}

// view collects what a decision needs, and no more: with no Service of ours
// nothing is asked.
func (c *Controller) view(ctx context.Context) (view, error) {
	all, err := c.services.List(labels.Everything())
	if err != nil {
		return view{}, err
	}
	v := view{taken: map[Port]string{}, slices: c.slicesOf}
	for _, s := range all {
		if ours(s) {
			v.services = append(v.services, s)
		}
	}
	if len(v.services) == 0 {
		return v, nil
	}
	if v.nodes, err = c.nodes.List(labels.Everything()); err != nil {
		return v, err
	}
	listeners(v.taken)
	for p, who := range ownPorts(c.cfg) {
		v.taken[p] = who
	}
	return v, hostPorts(ctx, c.client, v.taken)
}

func (c *Controller) slicesOf(namespace, service string) []*discoveryv1.EndpointSlice {
	found, err := c.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service}))
	if err != nil {
		return nil // a lister of a cache has no errors
	}
	return found
}

func (c *Controller) write(ctx context.Context, s *corev1.Service, d decision) error {
	if !sameIngress(s.Status.LoadBalancer.Ingress, d.addresses) {
		changed := s.DeepCopy()
		changed.Status.LoadBalancer.Ingress = nil
		for _, a := range d.addresses {
			changed.Status.LoadBalancer.Ingress = append(changed.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		if _, err := c.client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write status of service %s/%s: %w", s.Namespace, s.Name, err)
		}
		log.G(ctx).WithField("service", s.Namespace+"/"+s.Name).WithField("addresses", d.addresses).Debug("wrote addresses")
	}
	if c.told[s.UID] == d.conflict {
		return nil
	}
	if d.conflict != "" {
		if err := c.event(ctx, s, "PortTaken", d.conflict+"; the service gets an address when it is free"); err != nil {
			return err
		}
	}
	c.told[s.UID] = d.conflict
	return nil
}

func (c *Controller) event(ctx context.Context, s *corev1.Service, reason, message string) error {
	now := metav1.Now()
	_, err := c.client.CoreV1().Events(s.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", s.Name, now.UnixNano()), Namespace: s.Namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name, UID: s.UID},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: message, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kelp-servicelb"}, ReportingController: Class,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write event of service %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}
