package voters

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// statusTimeout is how long a member may take to say how it is.
const statusTimeout = 2 * time.Second

// Member is one of etcd's members as it is seen from here.
type Member struct {
	ID        uint64 `json:"-"`
	Name      string `json:"name"` // the node's; empty before it has started
	Learner   bool   `json:"learner"`
	Leader    bool   `json:"leader"`
	Reachable bool   `json:"reachable"`
	// Behind is how many log entries it has not applied yet.
	Behind   uint64   `json:"behind"`
	DBSize   int64    `json:"dbSize"` // bytes
	Revision int64    `json:"revision"`
	URLs     []string `json:"urls,omitempty"` // for clients
	Problem  string   `json:"problem,omitempty"`
	// Away is for how long it has not been reached.
	Away time.Duration `json:"-"`
	// Unbound is set when no machine has the node's name any more.
	Unbound bool `json:"-"`
}

// Observe asks the cluster for its members, and each of them how it is. The
// errors of single members are in Problem.
func Observe(ctx context.Context, client *clientv3.Client) ([]Member, error) {
	listing, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	list, err := client.MemberList(listing)
	if err != nil {
		return nil, fmt.Errorf("list etcd's members: %w", err)
	}
	members, applied := make([]Member, len(list.Members)), make([]uint64, len(list.Members))
	var all sync.WaitGroup
	for i, m := range list.Members {
		all.Go(func() { members[i], applied[i] = observe(ctx, client, m) })
	}
	all.Wait()
	var head uint64
	for _, a := range applied {
		head = max(head, a)
	}
	for i := range members {
		if members[i].Reachable {
			members[i].Behind = head - applied[i]
		}
	}
	return members, nil
}

func observe(ctx context.Context, client *clientv3.Client, m *etcdserverpb.Member) (member Member, applied uint64) {
	member = Member{ID: m.ID, Name: m.Name, Learner: m.IsLearner, URLs: m.ClientURLs}
	if len(m.ClientURLs) == 0 {
		member.Problem = "has not started yet"
		return member, 0
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := client.Status(ctx, m.ClientURLs[0])
	if err != nil {
		member.Problem = "does not answer: " + err.Error()
		return member, 0
	}
	member.Leader, member.DBSize, member.Revision = status.Leader == m.ID, status.DbSize, status.Header.Revision
	// One that knows no leader is cut off from the others, or all are.
	member.Reachable = status.Leader != 0
	if !member.Reachable {
		member.Problem = "knows no leader"
	}
	return member, status.RaftAppliedIndex
}
