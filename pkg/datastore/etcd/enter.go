package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/log"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// enterEvery is the pace of trying to be added, while other servers start,
	// stop, or are added themselves.
	enterEvery   = time.Second
	enterTimeout = 5 * time.Second
)

// Cluster is what Enter needs of the members that are there.
type Cluster interface {
	MemberList(ctx context.Context, opts ...clientv3.OpOption) (*clientv3.MemberListResponse, error)
	MemberAddAsLearner(ctx context.Context, peers []string) (*clientv3.MemberAddResponse, error)
	MemberRemove(ctx context.Context, id uint64) (*clientv3.MemberRemoveResponse, error)
}

// Enter sees to it that the others know this member, which has no data yet, as
// a learner, and returns them. It tries until ctx ends. A member that had the
// name or the address before is replaced: whoever has the node's name may.
func Enter(ctx context.Context, c Cluster, in Inputs) (others map[string]string, err error) {
	var told string
	for {
		others, err = enter(ctx, c, in)
		if err == nil {
			return others, nil
		}
		if err.Error() != told {
			told = err.Error()
			log.G(ctx).WithError(err).WithField("next", enterEvery).Info("waiting to be added to etcd")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("be added to etcd: %w; last: %w", ctx.Err(), err)
		case <-time.After(enterEvery):
		}
	}
}

func enter(ctx context.Context, c Cluster, in Inputs) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, enterTimeout)
	defer cancel()
	list, err := c.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd's members: %w", err)
	}
	members, added := list.Members, false
	for _, m := range list.Members {
		switch mine := slices.Contains(m.PeerURLs, in.PeerURL()); {
		case mine && m.Name == "":
			added = true // and killed before it started
		case mine || m.Name == in.Name:
			if _, err := c.MemberRemove(ctx, m.ID); err != nil {
				return nil, fmt.Errorf("remove the member that %s was before: %w", in.Name, err)
			}
			return nil, fmt.Errorf("the member that %s was before is being removed", in.Name)
		}
	}
	if !added {
		res, err := c.MemberAddAsLearner(ctx, []string{in.PeerURL()})
		if err != nil {
			return nil, fmt.Errorf("add member %s: %w", in.Name, err)
		}
		members = res.Members
	}
	return othersOf(members, in.PeerURL()), nil
}

// othersOf are all members but the one at url. One that has not started has no
// name yet; etcd wants one, and does not compare it.
func othersOf(members []*etcdserverpb.Member, url string) map[string]string {
	others := map[string]string{}
	for _, m := range members {
		if slices.Contains(m.PeerURLs, url) || len(m.PeerURLs) == 0 {
			continue
		}
		name := m.Name
		if name == "" {
			name = "joining-" + strconv.FormatUint(m.ID, 16)
		}
		others[name] = m.PeerURLs[0]
	}
	return others
}

// enterAndRun is Run for a member that joins others. Members may come and go
// between the answer and the start, which etcd refuses then.
func (m *Member) enterAndRun(ctx context.Context) error {
	client, err := m.in.Members()
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		in := m.in
		if in.Others, err = Enter(ctx, client, in); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		err := m.serve(ctx, in)
		if err == nil || !outdated(err) {
			return err
		}
		log.G(ctx).WithError(err).Info("etcd's members have changed meanwhile")
		if err := os.RemoveAll(filepath.Join(in.Dir, "member")); err != nil {
			return errors.Join(err, fmt.Errorf("clear etcd's directory: %w", err))
		}
	}
}

// outdated says whether etcd did not start because its members are others than
// it was told. It has no type for that.
func outdated(err error) bool {
	text := err.Error()
	return strings.Contains(text, "error validating peerURLs")
}
