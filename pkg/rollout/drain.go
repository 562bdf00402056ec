package rollout

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/drain"
)

// drainWithin bounds how long pods of a node may take to go.
const drainWithin = 10 * time.Minute

// prepare cordons and drains the nodes whose turn has come, and takes that back
// where the upgrade is over. It writes into the status what it has done.
func (l *Leader) prepare(ctx context.Context, c clients, u Upgrade, nodes []corev1.Node, s Status) error {
	if !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State == Draining || n.held() }) {
		return nil
	}
	next := s
	next.Nodes = slices.Clone(s.Nodes)
	for i := range next.Nodes {
		e := &next.Nodes[i]
		at := slices.IndexFunc(nodes, func(n corev1.Node) bool { return n.Name == e.Name })
		if at < 0 {
			continue
		}
		node := &nodes[at]
		switch {
		case e.State == Draining:
			e.Cordoned = e.Cordoned || !node.Spec.Unschedulable // one that somebody else has cordoned stays so
			now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
			e.State, e.Started = Running, &now
			if err := away(ctx, c, node, u.Spec.Drain); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				e.State, e.Message, e.Ended = Failed, err.Error(), &now
			}
		case e.held():
			if err := drain.RunCordonOrUncordon(helper(ctx, c), node, false); err != nil {
				return fmt.Errorf("uncordon node %s: %w", node.Name, err)
			}
			e.Cordoned = false
		}
	}
	current, _, err := list(ctx, c.dynamic)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(current, func(o Upgrade) bool { return o.UID == u.UID })
	if i < 0 {
		return errChanged
	}
	return l.set(ctx, c, current[i], next)
}

// away has no pods come to a node any more, and those that are there go, where that is
// asked for.
func away(ctx context.Context, c clients, node *corev1.Node, evict bool) error {
	if err := drain.RunCordonOrUncordon(helper(ctx, c), node, true); err != nil {
		return fmt.Errorf("cordon node %s: %w", node.Name, err)
	}
	if !evict {
		return nil
	}
	if err := drain.RunNodeDrain(helper(ctx, c), node.Name); err != nil {
		return fmt.Errorf("drain node %s: %w", node.Name, err)
	}
	return nil
}

// helper drains as kubectl drain --ignore-daemonsets --delete-emptydir-data does:
// without the second, pods as ordinary as metrics-server would be in the way.
func helper(ctx context.Context, c clients) *drain.Helper {
	return &drain.Helper{
		Ctx: ctx, Client: c.kube, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
		Timeout: drainWithin, Out: io.Discard, ErrOut: io.Discard,
	}
}
