package voters

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/log"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// every is how often the members are looked at: a third server makes the
	// cluster highly available within it.
	every = 3 * time.Second
	// stepTimeout bounds one change of the membership.
	stepTimeout = 10 * time.Second
)

// Options are what Voters is made from.
type Options struct {
	// Connect makes a client of the cluster, or of the member at these URLs.
	Connect func(urls ...string) (*clientv3.Client, error)
	// Nodes are those of the cluster.
	Nodes Nodes
	// Grace is how long a voter may be away before it is replaced.
	Grace time.Duration
}

// Nodes says which servers are to stay, and holds the deletion of their nodes
// back for as long as they have a member.
type Nodes interface {
	// Staying returns the names of the nodes that belong to a machine and are not
	// being deleted.
	Staying(context.Context) (map[string]bool, error)
	// Hold keeps the node of a member from disappearing when it is deleted.
	Hold(ctx context.Context, name string) error
	// Free lets the deleted nodes disappear that have no member any more.
	Free(ctx context.Context, members []string) error
}

// Voters keeps the number of voters odd. Run it on one server only.
type Voters struct {
	opts Options
	seen map[uint64]time.Time // when a member was last reached, or first missed
	said map[uint64]string    // problems that were logged
}

// New returns Voters that has looked at nothing yet.
func New(opts Options) *Voters { return &Voters{opts: opts} }

// Run looks and acts until ctx ends.
func (v *Voters) Run(ctx context.Context) error {
	client, err := v.opts.Connect()
	if err != nil {
		return err
	}
	defer client.Close()
	v.seen, v.said = map[uint64]time.Time{}, map[uint64]string{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := v.look(ctx, client); err != nil && ctx.Err() == nil {
			log.G(ctx).WithError(err).WithField("next", every).Warn("etcd's members were not looked at")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (v *Voters) look(ctx context.Context, client *clientv3.Client) error {
	members, err := Observe(ctx, client)
	if err != nil {
		return err
	}
	staying, err := v.opts.Nodes.Staying(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range members {
		m := &members[i]
		m.Unbound = m.Name != "" && !staying[m.Name]
		if last, known := v.seen[m.ID]; m.Reachable || !known {
			v.seen[m.ID] = now
		} else {
			m.Away = now.Sub(last)
		}
	}
	for _, m := range members {
		v.tell(ctx, m, problemOf(members, m))
	}
	if err := v.hold(ctx, members, staying); err != nil {
		return err
	}
	for _, a := range Decide(members, v.opts.Grace) {
		if err := v.act(ctx, client, a, members); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		log.G(ctx).WithField("member", a.Member.Name).WithField("reason", a.Reason).Info(string(a.Verb) + "d an etcd member")
		if a.Verb == Remove && !a.Member.Reachable {
			// At once: somebody may wait for the name. One that is alive is to
			// learn of its removal first: kube-proxy ends its process, without
			// another word, when it sees that the Node is gone.
			left := slices.DeleteFunc(members, func(m Member) bool { return m.ID == a.Member.ID })
			return v.opts.Nodes.Free(ctx, namesOf(left))
		}
	}
	return nil
}

func namesOf(members []Member) []string {
	var names []string
	for _, m := range members {
		if m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// hold sees to it that a node outlives its member. A server alone has nobody to
// leave: its node comes back.
func (v *Voters) hold(ctx context.Context, members []Member, staying map[string]bool) error {
	if len(members) == 1 {
		return v.opts.Nodes.Free(ctx, nil)
	}
	for _, name := range namesOf(members) {
		if staying[name] {
			if err := v.opts.Nodes.Hold(ctx, name); err != nil {
				return err
			}
		}
	}
	return v.opts.Nodes.Free(ctx, namesOf(members))
}

// tell logs a member's problem when it is another one than before.
func (v *Voters) tell(ctx context.Context, m Member, problem string) {
	if problem == v.said[m.ID] {
		return
	}
	v.said[m.ID] = problem
	if problem != "" {
		log.G(ctx).WithField("member", m.Name).WithField("reason", problem).Warn("an etcd member is not well")
		return
	}
	log.G(ctx).WithField("member", m.Name).Info("an etcd member is well again")
}

func (v *Voters) act(ctx context.Context, client *clientv3.Client, a Action, members []Member) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if a.Verb == Promote {
		_, err := client.MemberPromote(ctx, a.Member.ID)
		return err
	}
	if a.Member.Leader {
		// Requests would wait for an election otherwise.
		if err := v.handOver(ctx, a.Member, members); err != nil {
			return err
		}
	}
	_, err := client.MemberRemove(ctx, a.Member.ID)
	return err
}

// handOver makes another voter lead.
func (v *Voters) handOver(ctx context.Context, leader Member, members []Member) error {
	client, err := v.opts.Connect(leader.URLs...)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, m := range members {
		if m.ID != leader.ID && !m.Learner && m.Reachable && !m.Unbound {
			if _, err := client.MoveLeader(ctx, m.ID); err != nil {
				return fmt.Errorf("hand over to %s: %w", m.Name, err)
			}
			return nil
		}
	}
	return nil
}
