package etcd

import (
	"context"
	"expvar"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// readEvery is how often a member that reads its log is looked at.
	readEvery = 5 * time.Millisecond
	// campaignFor is how long an election may take at first, which writes to the
	// disk: to ask for it again begins it anew. Each one may take twice as long as
	// that before.
	campaignFor = 20 * time.Millisecond
)

// leadAlone has a member lead at once when no other one may. By itself it waits for
// one to ten heartbeats, chosen at random, and for ten more beside a learner. It is
// told what a leader tells the member that is to be the next one, and not before it
// has done with its log: raft looks there for changes of the members that are still
// to come, and panics when the member has dropped what raft has not seen the end of.
func leadAlone(ctx context.Context, s *etcdserver.EtcdServer) {
	id, wait := uint64(s.MemberID()), campaignFor
	for ctx.Err() == nil && s.Leader() == 0 {
		status, ok := raftStatus()
		if !ok || status.ID != id {
			return // another member of this process has started since
		}
		if status.Applied < status.GetCommit() || s.AppliedIndex() < s.CommittedIndex() {
			poll.Pause(ctx, readEvery)
			continue
		}
		if !alone(id, status.Config.Voters.IDs()) {
			return
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

// raftStatus is what raft itself says of the member that this process has started
// last. etcd has it among its variables for debugging, and nowhere else.
func raftStatus() (status raft.Status, ok bool) {
	published, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return raft.Status{}, false
	}
	status, ok = published.Value().(raft.Status)
	return status, ok
}

// alone says whether a member is the only one that has a vote.
func alone(id uint64, voters map[uint64]struct{}) bool {
	_, votes := voters[id]
	return votes && len(voters) == 1
}
