package rollout

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/containerd/log"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/join"
)

// LeadOptions are what the one needs that decides.
type LeadOptions struct {
	Kubeconfig string
	Node       string // this server's
	// Voters says what is the matter with etcd's members, nothing if nothing is.
	Voters func(context.Context) string
}

// Leader leads the cluster's upgrades. It runs on one server.
type Leader struct{ opts LeadOptions }

// NewLeader returns one.
func NewLeader(opts LeadOptions) *Leader { return &Leader{opts} }

// Run leads until ctx ends.
func (l *Leader) Run(ctx context.Context) error {
	c, err := connect(l.opts.Kubeconfig)
	if err != nil {
		return err
	}
	follow(ctx, c.dynamic, func(ctx context.Context, all []Upgrade) (time.Duration, error) { return l.lead(ctx, c, all) })
	return nil
}

// lead does one step of the Upgrade whose turn it is.
func (l *Leader) lead(ctx context.Context, c clients, all []Upgrade) (time.Duration, error) {
	u, there := active(all)
	if !there {
		return idle, nil
	}
	for _, other := range all {
		if !other.Finished() && other.UID != u.UID {
			if err := l.set(ctx, c, other, Status{Phase: Pending, Message: "waits for the upgrade " + u.Name}); err != nil {
				return 0, err
			}
		}
	}
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list nodes: %w", err)
	}
	v := View{Spec: u.Spec, Status: u.Status, Timeout: u.timeout(), Now: time.Now().UTC().Truncate(time.Second), Voters: l.opts.Voters(ctx)}
	for i := range nodes.Items {
		v.Nodes = append(v.Nodes, l.nodeOf(&nodes.Items[i], u))
	}
	next := Decide(v)
	if err := l.set(ctx, c, u, next); err != nil {
		return 0, err
	}
	l.announce(ctx, c, u, next)
	// What was decided is in the API before it is done: another server goes on with it.
	return busy, l.prepare(ctx, c, u, nodes.Items, next)
}

func (l *Leader) nodeOf(n *corev1.Node, u Upgrade) Node {
	_, server := n.Labels[join.ControlPlane]
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return Node{
		Name: n.Name, Server: server, Leader: n.Name == l.opts.Node, Ready: ready,
		Version: n.Status.NodeInfo.KubeletVersion, Failure: failureOf(n, u.UID),
	}
}

// set writes a status, unless it is there already.
func (l *Leader) set(ctx context.Context, c clients, u Upgrade, s Status) error {
	if reflect.DeepEqual(u.Status, s) {
		return nil
	}
	u.Status = s
	o, err := u.object()
	if err != nil {
		return err
	}
	_, err = c.dynamic.Resource(Resource).UpdateStatus(ctx, o, metav1.UpdateOptions{FieldManager: "kelp"})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) { // it was changed, and is looked at again
		return fmt.Errorf("write the status of upgrade %s: %w", u.Name, err)
	}
	if err != nil {
		return errChanged
	}
	return nil
}

// errChanged is that the object is another one than was looked at.
var errChanged = errors.New("the upgrade has changed meanwhile")

// announce tells of what has changed: in the log, and of the end as an event.
func (l *Leader) announce(ctx context.Context, c clients, u Upgrade, next Status) {
	for _, n := range next.Nodes {
		if was := u.Status.node(n.Name); was.State != n.State {
			log.G(ctx).WithField("node", n.Name).WithField("state", n.State).WithField("version", u.Spec.Version).Info("upgrading the cluster")
		}
	}
	if u.Status.Phase == next.Phase {
		return
	}
	entry := log.G(ctx).WithField("version", u.Spec.Version)
	var err error
	switch next.Phase {
	case Done:
		entry.Info("the cluster was upgraded")
		err = l.event(ctx, c, u, corev1.EventTypeNormal, "Upgraded", "all nodes have kelp "+u.Spec.Version)
	case Failed:
		entry.WithField("reason", next.Message).Error("the upgrade of the cluster has failed; no further node is begun")
		err = l.event(ctx, c, u, corev1.EventTypeWarning, "UpgradeFailed", next.Message)
	}
	if err != nil {
		entry.WithError(err).Debug("no event of the upgrade")
	}
}

func (l *Leader) event(ctx context.Context, c clients, u Upgrade, kindOf, reason, message string) error {
	at := metav1.Now()
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: u.Name + ".", Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{APIVersion: Resource.GroupVersion().String(), Kind: kind, Name: u.Name, UID: u.UID},
		Type:           kindOf, Reason: reason, Message: message[:min(len(message), 1000)], Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: "kelp-upgrades", Host: l.opts.Node}, ReportingController: "kelp.io/upgrades",
	}
	if _, err := c.kube.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, e, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("write event of an upgrade: %w", err)
	}
	return nil
}
