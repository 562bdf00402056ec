package datastore

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/internal/poll"
)

const (
	// reachable bounds the question to another server's member.
	reachable = 3 * time.Second

	// steppedDown is how long a member may still name a leader when the majority
	// is gone. A leader that hears no majority steps down after an election timeout,
	// which is a second, and a follower forgets a leader after two at most.
	steppedDown = 10 * time.Second
)

// ErrLeader is returned of a member whose cluster has a majority.
var ErrLeader = errors.New("etcd has a leader, so it has its majority")

// Settled is the status of the etcd member at url when it has lost its majority, and
// ErrLeader when it has not. A member that has lost it just now names a leader for
// a moment: there is one only if the member can also read with the majority's
// consent. A learner cannot, and never forgets a leader: its word does not count.
func (d *Datastore) Settled(ctx context.Context, url string) (*clientv3.StatusResponse, error) {
	client, err := d.Client(url)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var status *clientv3.StatusResponse
	unsettled := poll.Until(ctx, steppedDown, func(ctx context.Context) error {
		status, err = statusOf(ctx, client, url)
		switch {
		case ctx.Err() != nil: // that it did not answer in time says nothing
			return ErrLeader
		case err != nil || status.Leader == 0 || status.IsLearner:
			return nil
		case Probe(ctx, client) == nil:
			err = ErrLeader
			return nil
		}
		return ErrLeader
	})
	if unsettled != nil {
		return nil, ErrLeader
	}
	return status, err
}

func statusOf(ctx context.Context, client *clientv3.Client, url string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	return client.Status(ctx, url)
}
