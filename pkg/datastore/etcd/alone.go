package etcd

import (
	"context"
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

// leadAlone has a member lead at once when there is no other one. By itself it
// waits for one to ten heartbeats, chosen at random. It is told what a leader tells
// the member that is to be the next one.
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

// alone says whether a member is a cluster's only one, and has a vote.
func alone(id types.ID, members []*membership.Member) bool {
	return len(members) == 1 && members[0].ID == id && !members[0].IsLearner
}
