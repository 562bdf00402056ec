package etcd

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// readEvery is how often a member that reads its log is looked at. One whose log
	// has nothing to read, as after a move, does not tell: readFor is how long it may
	// be about to begin.
	readEvery = 5 * time.Millisecond
	readFor   = 50 * time.Millisecond
	// campaignFor is how long an election may take at first, which writes to the
	// disk: to ask for it again begins it anew. Each one may take twice as long as
	// that before.
	campaignFor = 20 * time.Millisecond
)

// leadAlone has a member lead at once when no other one may. By itself it waits for
// one to ten heartbeats, chosen at random, and for ten more beside a learner. It is
// told what a leader tells the member that is to be the next one.
func leadAlone(ctx context.Context, s *etcdserver.EtcdServer) {
	began, id, wait := time.Now(), uint64(s.MemberID()), campaignFor
	for ctx.Err() == nil && s.Leader() == 0 && alone(s.MemberID(), s.Cluster().Members()) {
		committed := s.CommittedIndex()
		if s.AppliedIndex() < committed || committed == 0 && time.Since(began) < readFor {
			poll.Pause(ctx, readEvery)
			continue
		}
		// A new one looks for its first term in the database when it leads, where
		// it comes after a tenth of a second by itself.
		s.Backend().ForceCommit()
		if err := s.Process(ctx, &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &id, To: &id}); err != nil {
			return // it stops
		}
		poll.Pause(ctx, wait)
		wait *= 2
	}
}

// alone says whether a member is the only one that has a vote.
func alone(id types.ID, members []*membership.Member) bool {
	voters := slices.DeleteFunc(members, func(m *membership.Member) bool { return m.IsLearner })
	return len(voters) == 1 && voters[0].ID == id
}
